//! The steps of those operations that are tried more than once, or by whoever holds a lease. Each is fenced by the
//! number of its attempt.

use std::{collections::BTreeSet, time::Duration};

use dashmap::mapref::one::RefMut;

use super::{
    Ended, MemoryStore,
    record::{Record, Stage},
};
use crate::{
    operation::{Ending, Failure, OperationId, Refused, Reply, Report, State, Step, Timestamp},
    store::{Attempt, Claimed, FailedAttempt, Finished, LeaseId, OpenLease, Swept},
};

impl MemoryStore {
    /// The attempt's operation, locked, if the attempt runs.
    fn run(&self, attempt: Attempt) -> Result<RefMut<'_, OperationId, Box<Record>>, Refused> {
        let record = self.operations.get_mut(&attempt.operation).ok_or(Refused::Unknown)?;
        if record.is_expired(self.clock.now()) {
            return Err(Refused::Unknown);
        }
        record.life().step(Step::HandBack { attempt: attempt.number })?;
        Ok(record)
    }

    pub(super) fn finish_attempt(&self, attempt: Attempt, reply: Reply) -> Result<Finished, Refused> {
        let mut record = self.run(attempt)?;
        // What runs has not ended.
        self.end(attempt.operation, &mut record, reply).map(|ended| ended.finished).ok_or(Refused::Unknown)
    }

    pub(super) fn report(&self, attempt: Attempt, report: Report) -> Result<(), Refused> {
        let mut record = self.run(attempt)?;
        record.extend();
        if let Some(progress) = record.extended_mut().map(|extended| &mut extended.progress)
            && progress.as_ref().is_none_or(|before| before.number < report.number)
        {
            *progress = Some(report);
        }
        Ok(())
    }

    pub(super) fn retry(&self, attempt: Attempt, failure: Failure) -> Result<Option<Finished>, Refused> {
        let mut record = self.run(attempt)?;
        self.fail(attempt, &mut record, failure)
    }

    fn fail(&self, attempt: Attempt, record: &mut Record, failure: Failure) -> Result<Option<Finished>, Refused> {
        let step = Step::Retry { attempt: attempt.number, max_attempts: record.max_attempts() };
        let (next, now) = (record.life().step(step)?, self.clock.now());
        record.extend();
        if let Some(extended) = record.extended_mut() {
            extended.failures = next.failures;
            extended.failed_attempts.push(FailedAttempt { number: attempt.number, failure, at: now });
        }
        if next.state == State::Queued {
            let since = now.after(record.terms.backoff(next.failures));
            self.enqueue(attempt.operation, record, since, now);
            return Ok(None);
        }
        let ended = self.end(attempt.operation, record, Reply::none(Ending::Failed(failure)));
        Ok(ended.map(|ended| ended.finished))
    }

    pub(super) fn hand_back(&self, attempt: Attempt) -> Result<Option<Finished>, Refused> {
        let mut record = self.run(attempt)?;
        if record.is_durable() {
            let now = self.clock.now();
            self.enqueue(attempt.operation, &mut record, now, now);
            return Ok(None);
        }
        let reply = Reply::none(Ending::Failed(Failure::Interrupted));
        Ok(self.end(attempt.operation, &mut record, reply).map(|ended| ended.finished))
    }

    fn enqueue(&self, id: OperationId, record: &mut Record, since: Timestamp, now: Timestamp) {
        self.withdraw(id, record);
        *record.stage_mut() = Stage::Queued;
        if let Some(extended) = record.extended_mut() {
            extended.since = since;
        }
        self.extended.queue.insert(id, record, since, now);
    }

    pub(super) fn claim(&self, lease: LeaseId, limit: usize) -> Result<Vec<Claimed>, Refused> {
        let now = self.clock.now();
        self.extended.leases.require(lease, now)?;
        let mut claimed = Vec::new();
        while claimed.len() < limit
            && let Some(id) = self.extended.queue.next(now)
        {
            match self.begin(id, lease, now) {
                Ok(begun) => claimed.extend(begun),
                Err(over) if claimed.is_empty() => return Err(over),
                Err(_) => break,
            }
        }
        Ok(claimed)
    }

    /// Begins the next attempt of what has just left the queue, unless it was canceled since.
    pub(super) fn begin(&self, id: OperationId, lease: LeaseId, now: Timestamp) -> Result<Option<Claimed>, Refused> {
        let Some(mut record) = self.operations.get_mut(&id).filter(|record| is_queued(record)) else {
            return Ok(None);
        };
        if let Err(over) = self.extended.leases.hold(lease, id, now) {
            self.extended.queue.insert(id, &record, now, now);
            return Err(over);
        }
        let claimed = record.claim(id, lease, now);
        self.schedule(id, &record);
        Ok(claimed)
    }

    pub(super) fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> OpenLease {
        let id = self.extended.leases.name();
        let (mut lost, mut holds) = (Vec::new(), BTreeSet::new());
        for attempt in running {
            match self.run(attempt) {
                Ok(mut record) => {
                    self.bring_along(attempt.operation, &mut record, id);
                    holds.insert(attempt.operation);
                }
                Err(_) => lost.push(attempt),
            }
        }
        self.extended.leases.open(id, length, self.clock.now(), holds);
        OpenLease { id, lost }
    }

    fn bring_along(&self, id: OperationId, record: &mut Record, lease: LeaseId) {
        record.extend();
        let before = record.extended_mut().and_then(|extended| extended.lease.replace(lease));
        if let Some(before) = before.filter(|before| *before != lease) {
            self.extended.leases.release(before, id);
        }
    }

    pub(super) fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> Result<Vec<Attempt>, Refused> {
        let now = self.clock.now();
        self.extended.leases.renew(lease, now)?;
        let mut lost = Vec::new();
        for attempt in running {
            match self.run(attempt) {
                Ok(mut record) => {
                    self.extended.leases.hold(lease, attempt.operation, now)?;
                    self.bring_along(attempt.operation, &mut record, lease);
                }
                Err(_) => lost.push(attempt),
            }
        }
        Ok(lost)
    }

    pub(super) fn sweep_all(&self, limit: usize) -> Swept {
        let due = self.sweep(limit);
        let lapsed = self.extended.leases.take_lapsed(self.clock.now(), limit);
        let mut swept = Swept { expired: due.expired, more: due.more || lapsed.len() == limit, ..Swept::default() };
        for id in due.overdue {
            swept.ended.extend(self.time_out(id).map(|ended| (id, ended.finished)));
        }
        for (lease, id) in lapsed {
            match self.lose(lease, id) {
                Ok(Some(finished)) => swept.ended.push((id, finished)),
                Ok(None) => swept.queued.push(id),
                Err(_) => {}
            }
        }
        swept
    }

    /// Ends what runs for too long, and is not another attempt by now.
    fn time_out(&self, id: OperationId) -> Option<Ended> {
        let mut record = self.operations.get_mut(&id).filter(|record| record.is_due(self.clock.now()))?;
        self.end(id, &mut record, Reply::none(Ending::Failed(Failure::TimedOut)))
    }

    /// Retries what still runs under a lease that is over.
    pub(super) fn lose(&self, lease: LeaseId, id: OperationId) -> Result<Option<Finished>, Refused> {
        let mut record = self.operations.get_mut(&id).ok_or(Refused::Unknown)?;
        let latest = record.life().attempt;
        match record.extended().and_then(|extended| extended.lease) == Some(lease) {
            true => self.fail(Attempt { operation: id, number: latest }, &mut record, Failure::Lost),
            false => Err(Refused::Superseded { latest }),
        }
    }
}

fn is_queued(record: &Record) -> bool {
    matches!(record.stage(), Stage::Queued)
}
