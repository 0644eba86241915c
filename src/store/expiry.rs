//! When something is to be done about which operation: to stop one that ran too long, to forget one that ended.
//!
//! Time is cut into ticks and the operations into shards; each shard keeps the operations of each tick. So an operation
//! is put in and taken out without regard to how many there are, and what is due is found without a look at the rest.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::memory::IdHasher;
use crate::operation::{OperationId, Timestamp};

/// Small enough shards that the growth of one is no pause to speak of.
const SHARDS: usize = 256;
const TICK_MILLIS: u64 = 250;

type Shard = BTreeMap<u64, HashSet<OperationId, IdHasher>>;

#[derive(Debug)]
pub(super) struct Expiry {
    shards: Box<[Mutex<Shard>]>,
    /// Where the next sweep goes on.
    cursor: AtomicUsize,
}

impl Expiry {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), cursor: AtomicUsize::new(0) }
    }

    pub(super) fn insert(&self, id: OperationId, due: Timestamp) {
        self.shard(id.noise() as usize).entry(tick(due)).or_default().insert(id);
    }

    pub(super) fn remove(&self, id: OperationId, due: Timestamp) {
        let mut shard = self.shard(id.noise() as usize);
        if let Some(bucket) = shard.get_mut(&tick(due)) {
            bucket.remove(&id);
            if bucket.is_empty() {
                shard.remove(&tick(due));
            }
        }
    }

    /// Takes out at most `limit` operations that are due; fewer only where no more are.
    pub(super) fn take_due(&self, now: Timestamp, limit: usize) -> Vec<OperationId> {
        let mut due = Vec::new();
        for _ in 0..SHARDS {
            let cursor = self.cursor.load(Ordering::Relaxed);
            take_from(&mut self.shard(cursor), now, limit, &mut due);
            if due.len() >= limit {
                break;
            }
            self.cursor.store(cursor.wrapping_add(1), Ordering::Relaxed);
        }
        due
    }

    fn shard(&self, number: usize) -> MutexGuard<'_, Shard> {
        // In bounds: the remainder of a division by the number of shards, of which there is at least one.
        self.shards[number % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_from(shard: &mut Shard, now: Timestamp, limit: usize, due: &mut Vec<OperationId>) {
    while due.len() < limit
        && let Some(mut bucket) = shard.first_entry()
        && *bucket.key() <= tick(now).saturating_sub(1)
    {
        let taken: Vec<_> = bucket.get().iter().copied().take(limit - due.len()).collect();
        for id in &taken {
            bucket.get_mut().remove(id);
        }
        due.extend(taken);
        if bucket.get().is_empty() {
            bucket.remove();
        }
    }
}

fn tick(time: Timestamp) -> u64 {
    time.as_millis() / TICK_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: Timestamp = Timestamp::from_millis(10_000);
    const LATE: Timestamp = Timestamp::from_millis(20_000);

    #[test]
    fn only_what_is_due_is_taken_and_only_once() {
        let expiry = Expiry::new();
        let ids: Vec<_> = (0..1_000).map(|_| OperationId::random()).collect();
        for (index, id) in ids.iter().enumerate() {
            expiry.insert(*id, if index % 2 == 0 { EARLY } else { LATE });
        }
        assert_eq!(expiry.take_due(EARLY, usize::MAX), [], "a tick is due when it is over");
        let mut taken = Vec::new();
        loop {
            let slice = expiry.take_due(Timestamp::from_millis(10_250), 7);
            assert!(slice.len() <= 7);
            if slice.is_empty() {
                break;
            }
            taken.extend(slice);
        }
        taken.sort();
        let mut expected: Vec<_> = ids.iter().copied().step_by(2).collect();
        expected.sort();
        assert_eq!(taken, expected);
    }

    #[test]
    fn what_was_removed_is_not_due() {
        let expiry = Expiry::new();
        let id = OperationId::random();
        expiry.insert(id, EARLY);
        expiry.remove(id, EARLY);
        expiry.remove(id, LATE);
        assert_eq!(expiry.take_due(LATE, 10), []);
        assert!(expiry.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
