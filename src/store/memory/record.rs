//! What is kept of an operation.

use std::{mem, sync::Arc};

use crate::{
    operation::{Key, Life, OperationId, Owner, Report, State, StoredRequest, Timestamp},
    policy::Terms,
    run::Runner,
    store::{
        contract::{Attempt, Claimed, End, FailedAttempt, LeaseId, NewOperation, Snapshot},
        expiry::Period,
    },
};

#[derive(Debug)]
pub(super) struct Record {
    pub(super) owner: Option<Owner>,
    pub(super) terms: Arc<Terms>,
    pub(super) created: Timestamp,
    course: Course,
}

/// There may be a million plain operations, so they have no room for what others need.
#[derive(Debug)]
enum Course {
    Plain(Stage),
    Extended(Box<Extended>),
}

#[derive(Debug)]
pub(super) enum Stage {
    Queued,
    Running(Option<Runner>),
    Ended(Arc<End>),
}

/// What only those operations have that are durable, run under a lease, have a key, or were reported on or tried in
/// vain over the contract.
#[derive(Debug)]
pub(super) struct Extended {
    stage: Stage,
    pub(super) key: Option<Key>,
    pub(super) lease: Option<LeaseId>,
    /// Until it has ended.
    pub(super) request: Option<StoredRequest>,
    pub(super) attempt: u32,
    pub(super) failures: u32,
    pub(super) failed_attempts: Vec<FailedAttempt>,
    /// When the latest attempt began, or the next one may.
    pub(super) since: Timestamp,
    pub(super) progress: Option<Report>,
}

impl Record {
    pub(super) fn new(operation: NewOperation, created: Timestamp) -> Self {
        let Life { state, attempt, .. } = operation.life();
        let NewOperation { id: _, owner, terms, key, request, lease } = operation;
        let stage = if state == State::Queued { Stage::Queued } else { Stage::Running(None) };
        let course = match (key, &request, lease) {
            (None, None, None) => Course::Plain(stage),
            _ => {
                Course::Extended(Box::new(Extended { key, request, lease, attempt, ..Extended::plain(stage, created) }))
            }
        };
        Self { owner, terms, created, course }
    }

    pub(super) fn stage(&self) -> &Stage {
        match &self.course {
            Course::Plain(stage) => stage,
            Course::Extended(extended) => &extended.stage,
        }
    }

    pub(super) fn stage_mut(&mut self) -> &mut Stage {
        match &mut self.course {
            Course::Plain(stage) => stage,
            Course::Extended(extended) => &mut extended.stage,
        }
    }

    pub(super) fn extended(&self) -> Option<&Extended> {
        match &self.course {
            Course::Plain(_) => None,
            Course::Extended(extended) => Some(extended),
        }
    }

    pub(super) fn extended_mut(&mut self) -> Option<&mut Extended> {
        match &mut self.course {
            Course::Plain(_) => None,
            Course::Extended(extended) => Some(extended),
        }
    }

    /// Makes room for what a plain operation does not have.
    pub(super) fn extend(&mut self) {
        if let Course::Plain(stage) = &mut self.course {
            let stage = mem::replace(stage, Stage::Queued);
            self.course = Course::Extended(Box::new(Extended::plain(stage, self.created)));
        }
    }

    pub(super) fn is_for(&self, owner: Option<&Owner>) -> bool {
        self.owner.as_ref() == owner
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage(), Stage::Ended(_))
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.has_ended() && self.is_due(now)
    }

    /// Whether it has run, or was kept, for as long as it may be.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.period().is_some_and(|period| period.end() <= now)
    }

    /// How long the operation may run, or is kept now that it has ended.
    pub(super) fn period(&self) -> Option<Period> {
        let policy = &self.terms.policy;
        match self.stage() {
            Stage::Queued => None,
            Stage::Running(_) => policy.max_run_time.map(|length| Period { from: self.since(), length }),
            Stage::Ended(end) => Some(Period { from: end.at, length: policy.retention }),
        }
    }

    fn since(&self) -> Timestamp {
        self.extended().map_or(self.created, |extended| extended.since)
    }

    pub(super) fn life(&self) -> Life {
        let state = match self.stage() {
            Stage::Queued => State::Queued,
            Stage::Running(_) => State::Running,
            Stage::Ended(end) => end.reply.state(),
        };
        let (attempt, failures) = self.extended().map_or((1, 0), |extended| (extended.attempt, extended.failures));
        Life { state, attempt, failures }
    }

    pub(super) fn reply_size(&self) -> usize {
        if let Stage::Ended(end) = self.stage() { end.reply.size() } else { 0 }
    }

    /// How many attempts may fail before the operation does.
    pub(super) fn max_attempts(&self) -> u32 {
        if self.is_durable() { self.terms.max_attempts() } else { 1 }
    }

    /// Whether it can be run again.
    pub(super) fn is_durable(&self) -> bool {
        self.extended().is_some_and(|extended| extended.request.is_some())
    }

    pub(super) fn snapshot(&self, id: OperationId, now: Timestamp) -> Snapshot {
        let (progress, end) = match self.stage() {
            Stage::Queued => (None, None),
            Stage::Running(runner) => (runner.as_ref().and_then(Runner::progress), None),
            Stage::Ended(end) => (None, Some(Arc::clone(end))),
        };
        let reported = || self.extended().and_then(|extended| extended.progress.clone());
        let failed_attempts = self.extended().map_or_else(Vec::new, |extended| extended.failed_attempts.clone());
        Snapshot {
            id,
            created: self.created,
            now,
            terms: Arc::clone(&self.terms),
            life: self.life(),
            progress: progress.or_else(reported),
            failed_attempts,
            end,
        }
    }

    /// Begins the next attempt. `None` where there is none to begin.
    pub(super) fn claim(&mut self, id: OperationId, lease: LeaseId, now: Timestamp) -> Option<Claimed> {
        let (owner, terms, created) = (self.owner.clone(), Arc::clone(&self.terms), self.created);
        let extended = self.extended_mut()?;
        let request = extended.request.clone()?;
        extended.attempt += 1;
        extended.lease = Some(lease);
        extended.since = now;
        extended.stage = Stage::Running(None);
        let attempt = Attempt { operation: id, number: extended.attempt };
        Some(Claimed { attempt, owner, terms, created, request })
    }
}

impl Extended {
    fn plain(stage: Stage, created: Timestamp) -> Self {
        let (key, lease, request, progress) = (None, None, None, None);
        let Life { attempt, failures, .. } = Life::RUNNING;
        let failed_attempts = Vec::new();
        Self { stage, key, lease, request, attempt, failures, failed_attempts, since: created, progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_operation_is_small() {
        assert_eq!(size_of::<Record>(), 5 * size_of::<u64>());
    }
}
