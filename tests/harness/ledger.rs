//! What was done to the replicas and their store, and when.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::replica::LEASE;

/// Milliseconds since 1970, by the machine's clock, which the replicas share.
pub(crate) type Moment = u64;

pub(crate) fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub(crate) const KILLED: &str = "killed";
pub(crate) const ABORTED: &str = "killed at a named point";

/// Something that went wrong because it was made to.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: String,
    /// The replica. None where all are hit.
    pub(crate) victim: Option<String>,
    pub(crate) from: Moment,
    pub(crate) until: Moment,
}

impl Fault {
    /// Whether this replica had to do with it within this time.
    pub(crate) fn hits(&self, replica: &str, from: Moment, until: Moment) -> bool {
        self.concerns(replica) && self.from <= until && from <= self.until
    }

    /// The same, or whether it may have kept the lease from being renewed under which this replica ran something then:
    /// that shows up to a lease after it began.
    pub(crate) fn harms(&self, replica: &str, from: Moment, until: Moment) -> bool {
        let felt = self.until.max(self.from + LEASE.as_millis() as Moment);
        self.concerns(replica) && self.from <= until && from <= felt
    }

    fn concerns(&self, replica: &str) -> bool {
        self.victim.as_deref().is_none_or(|victim| victim == replica)
    }

    fn is_kill(&self) -> bool {
        [KILLED, ABORTED].contains(&&*self.kind)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Vec<Fault>>);

impl Ledger {
    pub(crate) fn note(&self, kind: impl Into<String>, victim: Option<&str>, from: Moment) {
        let fault = Fault { kind: kind.into(), victim: victim.map(str::to_owned), from, until: now() };
        self.0.lock().unwrap().push(fault);
    }

    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.0.lock().unwrap().clone()
    }

    /// How many times a replica was killed.
    pub(crate) fn kills(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|fault| fault.is_kill()).count()
    }
}

/// How many there were of each kind.
pub(crate) fn counted(faults: &[Fault]) -> BTreeMap<&str, usize> {
    faults.iter().fold(BTreeMap::new(), |mut counts, fault| {
        *counts.entry(&*fault.kind).or_default() += 1;
        counts
    })
}
