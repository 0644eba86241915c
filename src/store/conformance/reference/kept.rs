//! What the reference keeps, and what can happen to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::Flaw;
use crate::{
    operation::{
        Ending, Failure, Key, Life, OperationId, Owner, Refused, Reply, Report, State, Step, StoredRequest, Timestamp,
    },
    policy::Terms,
    store::{
        StoreError,
        contract::{Attempt, End, FailedAttempt, Finished, LeaseId, Snapshot},
    },
};

#[derive(Default)]
pub(super) struct Kept {
    pub(super) operations: BTreeMap<OperationId, Operation>,
    pub(super) leases: BTreeMap<LeaseId, (Duration, Timestamp)>,
    pub(super) opened: i64,
    pub(super) claims: u64,
    /// When an owner and a route had their last turn.
    pub(super) turns: BTreeMap<(Option<Owner>, Arc<str>), u64>,
}

pub(super) struct Operation {
    pub(super) owner: Option<Owner>,
    pub(super) terms: Arc<Terms>,
    pub(super) key: Option<Key>,
    pub(super) request: Option<StoredRequest>,
    pub(super) created: Timestamp,
    /// When its attempt began, or may begin.
    pub(super) since: Timestamp,
    pub(super) life: Life,
    pub(super) lease: Option<LeaseId>,
    pub(super) progress: Option<Report>,
    pub(super) failed_attempts: Vec<FailedAttempt>,
    pub(super) end: Option<Arc<End>>,
}

impl Operation {
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.end.as_ref().is_some_and(|end| end.at.after(self.terms.retention()) <= now)
    }

    pub(super) fn end(&mut self, reply: Reply, now: Timestamp) -> Finished {
        let ran = self.life.state == State::Running;
        let finished = Finished::with(&reply, Arc::clone(&self.terms), now.since(self.created), ran);
        self.life.state = reply.state();
        self.lease = None;
        self.end = Some(Arc::new(End { reply, at: now }));
        finished
    }

    pub(super) fn snapshot(&self, id: OperationId, now: Timestamp) -> Snapshot {
        Snapshot {
            id,
            created: self.created,
            now,
            terms: Arc::clone(&self.terms),
            life: self.life,
            progress: self.progress.clone(),
            failed_attempts: self.failed_attempts.clone(),
            end: self.end.clone(),
        }
    }

    pub(super) fn retry(
        &mut self,
        attempt: u32,
        failure: Failure,
        now: Timestamp,
        flaw: Flaw,
    ) -> Result<Option<Finished>, Refused> {
        let max_attempts = if self.request.is_some() { self.terms.max_attempts() } else { 1 };
        self.life = self.life.step(Step::Retry { attempt, max_attempts })?;
        if flaw != Flaw::LosesHistory || self.life.failures == 1 {
            self.failed_attempts.push(FailedAttempt { number: attempt, failure, at: now });
        }
        self.lease = None;
        if self.life.state == State::Failed {
            return Ok(Some(self.end(Reply::none(Ending::Failed(failure)), now)));
        }
        let rest = if flaw == Flaw::ForgetsBackoff { Duration::ZERO } else { self.terms.backoff(self.life.failures) };
        self.since = now.after(rest);
        Ok(None)
    }
}

impl Kept {
    pub(super) fn holds(&self, lease: LeaseId, now: Timestamp) -> bool {
        self.leases.get(&lease).is_some_and(|(_, until)| now < *until)
    }

    pub(super) fn require(&self, lease: LeaseId, now: Timestamp) -> Result<(), StoreError> {
        if self.holds(lease, now) { Ok(()) } else { Err(Refused::LeaseOver.into()) }
    }

    pub(super) fn known(&mut self, id: OperationId, now: Timestamp) -> Result<&mut Operation, Refused> {
        self.operations.get_mut(&id).filter(|operation| !operation.is_expired(now)).ok_or(Refused::Unknown)
    }

    pub(super) fn runs(&mut self, attempt: Attempt, now: Timestamp) -> Result<&mut Operation, Refused> {
        let operation = self.known(attempt.operation, now)?;
        operation.life.step(Step::HandBack { attempt: attempt.number })?;
        Ok(operation)
    }

    pub(super) fn no_longer_run(&mut self, running: &[Attempt], now: Timestamp) -> Vec<Attempt> {
        running.iter().copied().filter(|attempt| self.runs(*attempt, now).is_err()).collect()
    }

    pub(super) fn next(&mut self, now: Timestamp, flaw: Flaw) -> Option<OperationId> {
        let due = self.operations.iter().filter(|(_, found)| found.life.state == State::Queued && found.since <= now);
        let first = due.min_by_key(|(id, found)| {
            let turn = self.turns.get(&(found.owner.clone(), Arc::clone(&found.terms.name))).copied();
            (turn.filter(|_| flaw != Flaw::ServesOneOwnerFirst), found.created, **id)
        });
        let (id, found) = first?;
        let (id, turn) = (*id, (found.owner.clone(), Arc::clone(&found.terms.name)));
        self.claims += 1;
        self.turns.insert(turn, self.claims);
        Some(id)
    }
}
