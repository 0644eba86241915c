//! The store in memory: for operations that end with the process.

use std::{
    collections::BTreeSet,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry, mapref::one::RefMut};

use super::{
    Clock, Created, End, Finished, ListFilter, Listed, NewOperation, Snapshot, StoreError,
    expiry::{Expiry, Period},
};
use crate::{
    operation::{Ending, Failure, Life, OperationId, Owner, Reply, State, Timestamp},
    policy::Terms,
    run::Runner,
    telemetry,
};

/// More than the default, so that a reader seldom meets a writer, and a writer's growth of one shard is short.
const SHARDS: usize = 256;

/// So many operations are looked at for one part of a list, however few of them belong to it.
const LOOKED_AT: usize = 1_000;

#[derive(Debug)]
pub(crate) struct MemoryStore {
    operations: DashMap<OperationId, Box<Record>, IdHasher>,
    expiry: Expiry,
    /// The operations that have an owner, by owner, in the order of their creation.
    owned: DashMap<Owner, BTreeSet<(Timestamp, OperationId)>>,
    clock: Clock,
    limits: MemoryLimits,
    count: AtomicUsize,
    kept_bytes: AtomicUsize,
}

/// How much the store may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryLimits {
    pub(crate) operations: usize,
    pub(crate) bytes: usize,
}

/// An operation has ended before its runner was attached.
#[derive(Debug)]
pub(crate) struct TooLate {
    pub(crate) runner: Runner,
    /// Unknown where it has been forgotten since.
    pub(crate) state: Option<State>,
}

/// An operation that has just ended, and what has run it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    pub(crate) runner: Option<Runner>,
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

#[derive(Debug)]
struct Record {
    owner: Option<Owner>,
    terms: Arc<Terms>,
    created: Timestamp,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Running(Option<Runner>),
    Ended(Arc<End>),
}

impl MemoryStore {
    pub(crate) fn new(limits: MemoryLimits, clock: Clock) -> Self {
        Self {
            operations: DashMap::with_capacity_and_hasher_and_shard_amount(0, IdHasher::default(), SHARDS),
            expiry: Expiry::new(),
            owned: DashMap::new(),
            clock,
            limits,
            count: AtomicUsize::new(0),
            kept_bytes: AtomicUsize::new(0),
        }
    }

    /// Whether a large reply would still fit, so that an operation is not accepted only to lose its reply.
    fn has_headroom(&self, terms: &Terms) -> bool {
        let headroom = terms.policy.max_reply.min(self.limits.bytes / 8);
        self.kept_bytes.load(Ordering::Relaxed).saturating_add(headroom) <= self.limits.bytes
    }

    fn known(&self, id: OperationId, owner: Option<&Owner>) -> Option<RefMut<'_, OperationId, Box<Record>>> {
        let record = self.operations.get_mut(&id)?;
        (record.is_for(owner) && !record.is_expired(self.clock.now())).then_some(record)
    }

    /// Ends what runs; the caller holds its record, so of all who try only the first succeeds.
    fn end(&self, id: OperationId, record: &mut Record, reply: Reply) -> Option<Ended> {
        let now = self.clock.now();
        let Stage::Running(runner) = &mut record.stage else { return None };
        let runner = runner.take();
        let reply = self.admit(reply);
        let finished = Finished::with(&reply, Arc::clone(&record.terms), now.since(record.created), true);
        self.unschedule(id, record);
        record.stage = Stage::Ended(Arc::new(End { reply, at: now }));
        self.schedule(id, record);
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
    fn schedule(&self, id: OperationId, record: &Record) {
        if let Some(period) = record.period() {
            self.expiry.insert(id, period);
        }
    }

    fn unschedule(&self, id: OperationId, record: &Record) {
        if let Some(period) = record.period() {
            self.expiry.remove(id, period);
        }
    }

    /// Removes the operation if `condition` holds of it. It may still be scheduled.
    fn remove_if(&self, id: OperationId, condition: impl FnOnce(&Record) -> bool) -> Option<Box<Record>> {
        let (_, record) = self.operations.remove_if(&id, |_, record| condition(record))?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Stage::Ended(end) = &record.stage {
            self.kept_bytes.fetch_sub(end.reply.size(), Ordering::Relaxed);
            telemetry::forgotten(end.reply.size());
        }
        if let Some(owner) = &record.owner {
            self.disown(owner, (record.created, id));
        }
        Some(record)
    }

    /// Copied, so that nobody waits while the operations themselves are looked at.
    fn newest(
        &self,
        owner: &Owner,
        after: Option<(Timestamp, OperationId)>,
        count: usize,
    ) -> Vec<(Timestamp, OperationId)> {
        let Some(owned) = self.owned.get(owner) else { return Vec::new() };
        let candidates = match after {
            Some(after) => owned.range(..after),
            None => owned.range(..),
        };
        candidates.rev().take(count).copied().collect()
    }

    fn disown(&self, owner: &Owner, operation: (Timestamp, OperationId)) {
        if let Entry::Occupied(mut owned) = self.owned.entry(owner.clone()) {
            owned.get_mut().remove(&operation);
            if owned.get().is_empty() {
                owned.remove();
            }
        }
    }
}

impl MemoryStore {
    /// Keeps a new, running operation, or refuses because the store is full. Once this has returned, every other
    /// method knows the operation (R2).
    pub(crate) fn create(&self, operation: NewOperation) -> Result<Created, StoreError> {
        let NewOperation { id, owner, terms, .. } = operation;
        let below_limit = |count: usize| (count < self.limits.operations).then_some(count + 1);
        if !self.has_headroom(&terms)
            || self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below_limit).is_err()
        {
            return Err(StoreError::Full);
        }
        let created = self.clock.now();
        if let Some(owner) = &owner {
            self.owned.entry(owner.clone()).or_default().insert((created, id));
        }
        let record = Box::new(Record { owner, terms, created, stage: Stage::Running(None) });
        // Held until it is scheduled, too: its owner may find it in the list already, and end it.
        let record = self.operations.entry(id).or_insert(record);
        self.schedule(id, &record);
        Ok(Created::New { at: created })
    }

    /// Entrusts the operation with the means to stop whoever runs it here. Gives them back where it has ended
    /// meanwhile.
    pub(crate) fn attach(&self, id: OperationId, runner: Runner) -> Result<(), TooLate> {
        match self.operations.get_mut(&id).as_deref_mut().map(|record| &mut record.stage) {
            Some(Stage::Running(place)) => {
                *place = Some(runner);
                Ok(())
            }
            Some(Stage::Ended(end)) => Err(TooLate { runner, state: Some(end.reply.state()) }),
            None => Err(TooLate { runner, state: None }),
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

    /// The owner's operations, newest first, at most `limit` of them. There may be fewer although more follow, as no
    /// more than a bounded number is looked at.
    pub(crate) fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> Listed {
        let candidates = self.newest(owner, filter.after, limit.max(LOOKED_AT) + 1);
        let mut listed = Listed::default();
        let mut last = None;
        for (created, id) in candidates.iter().copied().take(candidates.len().min(limit.max(LOOKED_AT))) {
            if listed.operations.len() == limit {
                break;
            }
            last = Some((created, id));
            let snapshot = self.read(id, Some(owner));
            listed.operations.extend(snapshot.filter(|found| filter.state.is_none_or(|state| found.state() == state)));
        }
        listed.next = last.filter(|last| candidates.last() != Some(last));
        listed
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

impl Drop for MemoryStore {
    fn drop(&mut self) {
        telemetry::forgotten(*self.kept_bytes.get_mut());
    }
}

impl Record {
    fn is_for(&self, owner: Option<&Owner>) -> bool {
        self.owner.as_ref() == owner
    }

    fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.has_ended() && self.period().is_some_and(|period| period.end() <= now)
    }

    /// How long the operation may run, or is kept now that it has ended.
    fn period(&self) -> Option<Period> {
        let policy = &self.terms.policy;
        match &self.stage {
            Stage::Running(_) => policy.max_run_time.map(|length| Period { from: self.created, length }),
            Stage::Ended(end) => Some(Period { from: end.at, length: policy.retention }),
        }
    }

    fn snapshot(&self, id: OperationId, now: Timestamp) -> Snapshot {
        let (state, progress, end) = match &self.stage {
            Stage::Running(runner) => (State::Running, runner.as_ref().and_then(Runner::progress), None),
            Stage::Ended(end) => (end.reply.state(), None, Some(Arc::clone(end))),
        };
        let (life, terms) = (Life { state, ..Life::RUNNING }, Arc::clone(&self.terms));
        Snapshot { id, created: self.created, now, terms, life, progress, failed_attempts: Vec::new(), end }
    }
}

/// A hasher for ids, which fold their random bits themselves.
pub(super) type IdHasher = BuildHasherDefault<Folded>;

#[derive(Debug, Default)]
pub(super) struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, folded: u64) {
        self.0 = folded;
    }
}

#[cfg(shuttle)]
#[cfg(test)]
mod races;
