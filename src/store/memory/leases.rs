//! Who has promised to be heard of until when, and what each runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    operation::{OperationId, Refused, Timestamp},
    store::contract::LeaseId,
};

#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Given>);

#[derive(Debug, Default)]
struct Given {
    named: i64,
    leases: BTreeMap<LeaseId, Lease>,
}

#[derive(Debug)]
struct Lease {
    length: Duration,
    until: Timestamp,
    holds: BTreeSet<OperationId>,
}

impl Leases {
    /// A name that no lease had before.
    pub(super) fn name(&self) -> LeaseId {
        let mut given = self.lock();
        given.named += 1;
        LeaseId(given.named)
    }

    /// Begins a lease.
    pub(super) fn open(&self, id: LeaseId, length: Duration, now: Timestamp, holds: BTreeSet<OperationId>) {
        self.lock().leases.insert(id, Lease { length, until: now.after(length), holds });
    }

    pub(super) fn require(&self, id: LeaseId, now: Timestamp) -> Result<(), Refused> {
        self.lock().current(id, now).map(|_| ())
    }

    pub(super) fn renew(&self, id: LeaseId, now: Timestamp) -> Result<(), Refused> {
        let mut given = self.lock();
        let lease = given.current(id, now)?;
        lease.until = now.after(lease.length);
        Ok(())
    }

    /// Has the operation run under this lease.
    pub(super) fn hold(&self, id: LeaseId, operation: OperationId, now: Timestamp) -> Result<(), Refused> {
        self.lock().current(id, now)?.holds.insert(operation);
        Ok(())
    }

    pub(super) fn release(&self, id: LeaseId, operation: OperationId) {
        if let Some(lease) = self.lock().leases.get_mut(&id) {
            lease.holds.remove(&operation);
        }
    }

    pub(super) fn close(&self, id: LeaseId) {
        if let Some(lease) = self.lock().leases.get_mut(&id) {
            lease.until = Timestamp::from_millis(0);
        }
    }

    /// Takes out at most `limit` operations whose lease is over, each with its lease; fewer only where no more are.
    pub(super) fn take_lapsed(&self, now: Timestamp, limit: usize) -> Vec<(LeaseId, OperationId)> {
        let mut given = self.lock();
        let mut lapsed = Vec::new();
        for (id, lease) in given.leases.iter_mut().filter(|(_, lease)| lease.until <= now) {
            while lapsed.len() < limit
                && let Some(operation) = lease.holds.pop_first()
            {
                lapsed.push((*id, operation));
            }
        }
        given.leases.retain(|_, lease| lease.until > now || !lease.holds.is_empty());
        lapsed
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Given {
    fn current(&mut self, id: LeaseId, now: Timestamp) -> Result<&mut Lease, Refused> {
        self.leases.get_mut(&id).filter(|lease| now < lease.until).ok_or(Refused::LeaseOver)
    }
}
