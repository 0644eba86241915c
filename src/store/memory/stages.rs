//! From one stage of an operation to the next: what ends, what is to be looked at when, what is forgotten.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
};

use super::{
    MemoryStore,
    record::{Record, Stage},
};
use crate::{
    operation::{Ending, Failure, OperationId, Reply},
    run::Runner,
    store::{End, Finished},
    telemetry,
};

/// An operation that has just ended, and what has run it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    pub(crate) runner: Option<Runner>,
}

impl MemoryStore {
    /// Ends what has not ended; the caller holds its record, so of all who try only the first succeeds.
    pub(super) fn end(&self, id: OperationId, record: &mut Record, reply: Reply) -> Option<Ended> {
        let ran = match record.stage() {
            Stage::Queued => false,
            Stage::Running(_) => true,
            Stage::Ended(_) => return None,
        };
        let now = self.clock.now();
        let reply = self.admit(reply);
        let finished = Finished::with(&reply, Arc::clone(&record.terms), now.since(record.created), ran);
        self.withdraw(id, record);
        let last = mem::replace(record.stage_mut(), Stage::Ended(Arc::new(End { reply, at: now })));
        if let Some(extended) = record.extended_mut() {
            (extended.request, extended.progress) = (None, None);
        }
        self.schedule(id, record);
        let runner = if let Stage::Running(runner) = last { runner } else { None };
        Some(Ended { finished, runner })
    }

    /// Counts the reply's bytes, or puts in its place that it was too large.
    fn admit(&self, reply: Reply) -> Reply {
        let fits = |kept: usize| kept.checked_add(reply.size()).filter(|total| *total <= self.limits.bytes);
        match self.kept_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                telemetry::kept(reply.size());
                reply
            }
            Err(_) => Reply::none(Ending::Failed(Failure::ReplyTooLarge)),
        }
    }

    /// Has the sweep look at the operation when its period is over.
    pub(super) fn schedule(&self, id: OperationId, record: &Record) {
        if let Some(period) = record.period() {
            self.expiry.insert(id, period);
        }
    }

    /// Takes the operation out of wherever it is to be found by its stage: the schedule, the queue, its lease.
    pub(super) fn withdraw(&self, id: OperationId, record: &mut Record) {
        self.unschedule(id, record);
        let Some(extended) = record.extended() else { return };
        if matches!(record.stage(), Stage::Queued) {
            self.extended.queue.remove(id, record, extended.since);
        }
        if let Some(lease) = record.extended_mut().and_then(|extended| extended.lease.take()) {
            self.extended.leases.release(lease, id);
        }
    }

    pub(super) fn unschedule(&self, id: OperationId, record: &Record) {
        if let Some(period) = record.period() {
            self.expiry.remove(id, period);
        }
    }

    /// Removes the operation if `condition` holds of it. It may still be scheduled.
    pub(super) fn remove_if(&self, id: OperationId, condition: impl FnOnce(&Record) -> bool) -> Option<Box<Record>> {
        let (_, record) = self.operations.remove_if(&id, |_, record| condition(record))?;
        self.give_place_back(id, &record);
        self.kept_bytes.fetch_sub(record.reply_size(), Ordering::Relaxed);
        telemetry::forgotten(record.reply_size());
        if let Some(key) = record.extended().and_then(|extended| extended.key) {
            self.extended.keys.remove_if(&key.name, |_, taken| *taken == id);
        }
        Some(record)
    }
}
