//! Which queued operation is next.
//!
//! Each owner and route has a lane, and the lanes take turns; within a lane, the oldest goes first. A lane that was
//! empty has its turn after all others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::record::Record;
use crate::operation::{OperationId, Owner, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Waiting>);

/// Whose operations, on which route.
type Name = (Option<Owner>, Arc<str>);
type Place = (Timestamp, OperationId);

#[derive(Debug, Default)]
struct Waiting {
    lanes: HashMap<Name, Lane>,
    /// The lanes, in the order of their turns.
    turns: BTreeMap<u64, Name>,
    last_turn: u64,
    /// What may not begin yet, by when it may.
    resting: BTreeMap<Place, (Name, Timestamp)>,
}

/// What waits, and when it is this lane's turn.
#[derive(Debug)]
struct Lane {
    turn: u64,
    waiting: BTreeSet<Place>,
}

impl Queue {
    /// Queues an operation that may begin at this time.
    pub(super) fn insert(&self, id: OperationId, record: &Record, since: Timestamp, now: Timestamp) {
        let mut waiting = self.lock();
        if since <= now {
            waiting.line_up(name(record), (record.created, id));
        } else {
            waiting.resting.insert((since, id), (name(record), record.created));
        }
    }

    pub(super) fn remove(&self, id: OperationId, record: &Record, since: Timestamp) {
        let mut waiting = self.lock();
        if waiting.resting.remove(&(since, id)).is_none() {
            waiting.leave(name(record), (record.created, id));
        }
    }

    /// Takes out the operation whose turn it is. Whoever it is given to sees to it that it begins, or is queued again.
    pub(super) fn next(&self, now: Timestamp) -> Option<OperationId> {
        let mut waiting = self.lock();
        waiting.wake(now);
        waiting.next()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let waiting = self.lock();
        waiting.lanes.is_empty() && waiting.turns.is_empty() && waiting.resting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn line_up(&mut self, name: Name, place: Place) {
        match self.lanes.entry(name) {
            Entry::Occupied(mut lane) => drop(lane.get_mut().waiting.insert(place)),
            Entry::Vacant(lane) => {
                self.last_turn += 1;
                self.turns.insert(self.last_turn, lane.key().clone());
                lane.insert(Lane { turn: self.last_turn, waiting: BTreeSet::from([place]) });
            }
        }
    }

    fn leave(&mut self, name: Name, place: Place) {
        if let Entry::Occupied(mut lane) = self.lanes.entry(name) {
            lane.get_mut().waiting.remove(&place);
            if lane.get().waiting.is_empty() {
                self.turns.remove(&lane.remove().turn);
            }
        }
    }

    /// Lets what has rested line up.
    fn wake(&mut self, now: Timestamp) {
        while let Some(rested) = self.resting.first_entry()
            && rested.key().0 <= now
        {
            let ((_, id), (name, created)) = rested.remove_entry();
            self.line_up(name, (created, id));
        }
    }

    fn next(&mut self) -> Option<OperationId> {
        let (_, name) = self.turns.pop_first()?;
        let Entry::Occupied(mut lane) = self.lanes.entry(name) else { return None };
        let (_, id) = lane.get_mut().waiting.pop_first()?;
        if lane.get().waiting.is_empty() {
            lane.remove();
        } else {
            self.last_turn += 1;
            self.turns.insert(self.last_turn, lane.key().clone());
            lane.get_mut().turn = self.last_turn;
        }
        Some(id)
    }
}

fn name(record: &Record) -> Name {
    (record.owner.clone(), Arc::clone(&record.terms.name))
}
