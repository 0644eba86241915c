//! What was done to the replicas and their store, and when.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970, by the machine's clock, which the replicas share.
pub(crate) type Moment = u64;

pub(crate) fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

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
    /// Whether it can have done something to this replica within this time.
    pub(crate) fn hits(&self, replica: &str, from: Moment, until: Moment) -> bool {
        /// A lease, and what it takes to notice that it is over, and to recover.
        const AFTERMATH: Moment = 5_000;
        self.victim.as_deref().is_none_or(|victim| victim == replica)
            && self.from <= until
            && from <= self.until + AFTERMATH
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
}

/// How many there were of each kind.
pub(crate) fn counted(faults: &[Fault]) -> BTreeMap<&str, usize> {
    faults.iter().fold(BTreeMap::new(), |mut counts, fault| {
        *counts.entry(&*fault.kind).or_default() += 1;
        counts
    })
}
