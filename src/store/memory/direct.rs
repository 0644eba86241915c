//! The store as a single hub uses it: operations are begun by whoever creates them, and never queued.

use dashmap::mapref::one::RefMut;

use super::{
    Ended, MemoryStore,
    record::{Record, Stage},
};
use crate::{
    operation::{Ending, OperationId, Owner, Reply, State},
    run::Runner,
    store::Snapshot,
};

/// An operation has ended before its runner was attached.
#[derive(Debug)]
pub(crate) struct TooLate {
    pub(crate) runner: Runner,
    /// Unknown where it has been forgotten since.
    pub(crate) state: Option<State>,
}

/// What came of a cancellation.
#[derive(Debug)]
pub(crate) enum Canceled {
    Now(Ended),
    AlreadyEnded,
    Unknown,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) expired: Vec<OperationId>,
    pub(crate) overdue: Vec<OperationId>,
    /// Whether there is more to sweep now.
    pub(crate) more: bool,
}

impl MemoryStore {
    /// Entrusts the operation with the means to stop whoever runs it here. Gives them back where it has ended
    /// meanwhile.
    pub(crate) fn attach(&self, id: OperationId, runner: Runner) -> Result<(), TooLate> {
        match self.operations.get_mut(&id).as_deref_mut().map(|record| record.stage_mut()) {
            Some(Stage::Running(place)) => {
                *place = Some(runner);
                Ok(())
            }
            Some(Stage::Ended(end)) => Err(TooLate { runner, state: Some(end.reply.state()) }),
            // What is queued was never begun here.
            Some(Stage::Queued) | None => Err(TooLate { runner, state: None }),
        }
    }

    /// Ends a running operation with this reply, or with `reply-too-large` where the store has no room for it.
    /// `None`, and nothing changes, where the operation has ended already or is unknown.
    pub(crate) fn finish(&self, id: OperationId, reply: Reply) -> Option<Ended> {
        let mut record = self.operations.get_mut(&id)?;
        self.end(id, &mut record, reply)
    }

    /// Ends a running operation of this owner as canceled.
    pub(crate) fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> Canceled {
        match self.known(id, owner) {
            None => Canceled::Unknown,
            Some(mut record) => match self.end(id, &mut record, Reply::none(Ending::Canceled)) {
                Some(ended) => Canceled::Now(ended),
                None => Canceled::AlreadyEnded,
            },
        }
    }

    /// What is known of an operation of this owner.
    pub(crate) fn read(&self, id: OperationId, owner: Option<&Owner>) -> Option<Snapshot> {
        let now = self.clock.now();
        let record = self.operations.get(&id)?;
        (record.is_for(owner) && !record.is_expired(now)).then(|| record.snapshot(id, now))
    }

    /// Forgets an operation of this owner that has ended.
    pub(crate) fn forget(&self, id: OperationId, owner: Option<&Owner>) -> bool {
        let now = self.clock.now();
        let forgotten =
            self.remove_if(id, |record| record.is_for(owner) && record.has_ended() && !record.is_expired(now));
        forgotten.inspect(|record| self.unschedule(id, record)).is_some()
    }

    /// The operations that run.
    pub(crate) fn running(&self) -> Vec<OperationId> {
        self.operations.iter().filter(|entry| !entry.has_ended()).map(|entry| *entry.key()).collect()
    }

    /// Forgets at most `limit` operations whose retention is over, and names those that ran for too long.
    pub(crate) fn sweep(&self, limit: usize) -> Due {
        let now = self.clock.now();
        let due = self.expiry.take_due(now, limit);
        let mut swept = Due { more: due.len() == limit, ..Due::default() };
        for id in due {
            if self.remove_if(id, |record| record.is_expired(now)).is_some() {
                swept.expired.push(id);
            } else if self.operations.get(&id).is_some_and(|record| !record.has_ended()) {
                swept.overdue.push(id);
            }
        }
        swept
    }
}

impl MemoryStore {
    fn known(&self, id: OperationId, owner: Option<&Owner>) -> Option<RefMut<'_, OperationId, Box<Record>>> {
        let record = self.operations.get_mut(&id)?;
        (record.is_for(owner) && !record.is_expired(self.clock.now())).then_some(record)
    }
}
