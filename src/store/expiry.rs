//! When something is to be done about which operation: to stop one that ran too long, to forget one that ended.
//!
//! Time is cut into ticks and the operations into shards; each shard keeps the operations of each tick. So an operation
//! is put in without regard to how many there are, and what is due is found without a look at the rest. To take one out
//! is to look through its tick, from the one that came first: mostly that is the one that ends first.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::operation::{OperationId, Timestamp};

/// Enough that threads seldom meet, and that the growth of one is no pause to speak of; few, so that where operations
/// come slowly they share their ticks.
const SHARDS: usize = 64;
/// A period may end later by this part of it: then operations that come seconds apart and stay for an hour share a
/// tick.
const PRECISION: u64 = 256;
/// Room for so many more at least, as a tick fills.
const ROOM: usize = 4;
/// Space for so many ids is more than the C library's allocator keeps at hand for a thread. To ask for it has the
/// allocator put in order what was freed before. Else it does that once for some ten thousand forgotten operations, and
/// whoever asks then waits for milliseconds.
const UNCACHED: usize = 128;

type Shard = BTreeMap<u64, VecDeque<OperationId>>;

#[derive(Debug)]
pub(super) struct Expiry {
    tick_millis: u64,
    shards: Box<[Mutex<Shard>]>,
    /// Where the next sweep goes on.
    cursor: AtomicUsize,
}

/// How long a tick is, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Precision {
    Millisecond = 1,
    QuarterSecond = 250,
}

/// How long an operation may run, or is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) from: Timestamp,
    pub(super) length: Duration,
}

impl Period {
    pub(super) fn end(self) -> Timestamp {
        self.from.after(self.length)
    }

    /// The last of the ticks that it ends in: of one, where it is short.
    fn tick(self, tick_millis: u64) -> u64 {
        let millis = self.end().as_millis().saturating_sub(self.from.as_millis());
        let others = (millis / (tick_millis * PRECISION)).checked_ilog2().map_or(0, |doublings| (1 << doublings) - 1);
        (self.end().as_millis() / tick_millis) | others
    }
}

impl Expiry {
    pub(super) fn new(precision: Precision) -> Self {
        Self {
            tick_millis: precision as u64,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            cursor: AtomicUsize::new(0),
        }
    }

    pub(super) fn insert(&self, id: OperationId, period: Period) {
        let mut shard = self.shard(id.noise() as usize);
        let bucket = shard.entry(period.tick(self.tick_millis)).or_default();
        if bucket.len() == bucket.capacity() {
            // By less than a doubling, as there may be a million.
            bucket.reserve_exact(bucket.len() / 4 + ROOM);
        }
        bucket.push_back(id);
    }

    pub(super) fn remove(&self, id: OperationId, period: Period) {
        let mut shard = self.shard(id.noise() as usize);
        let Entry::Occupied(mut bucket) = shard.entry(period.tick(self.tick_millis)) else { return };
        if let Some(place) = bucket.get().iter().position(|kept| *kept == id) {
            bucket.get_mut().swap_remove_front(place);
        }
        if bucket.get().is_empty() {
            bucket.remove();
        }
    }

    /// Takes out at most `limit` operations that are due; fewer only where no more are.
    pub(super) fn take_due(&self, now: Timestamp, limit: usize) -> Vec<OperationId> {
        let tick = now.as_millis() / self.tick_millis;
        let mut due = Vec::with_capacity(limit.max(UNCACHED));
        for _ in 0..SHARDS {
            let cursor = self.cursor.load(Ordering::Relaxed);
            take_from(&mut self.shard(cursor), tick, limit, &mut due);
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

fn take_from(shard: &mut Shard, now: u64, limit: usize, due: &mut Vec<OperationId>) {
    while due.len() < limit
        && let Some(mut bucket) = shard.first_entry()
        && *bucket.key() < now
    {
        let taken = bucket.get().len().min(limit - due.len());
        due.extend(bucket.get_mut().drain(..taken));
        if bucket.get().is_empty() {
            bucket.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Period = period(10_000);
    const LONG: Period = period(20_000);

    const fn period(millis: u64) -> Period {
        Period { from: Timestamp::from_millis(0), length: Duration::from_millis(millis) }
    }

    fn take_all(expiry: &Expiry, now: u64) -> Vec<OperationId> {
        let mut taken = Vec::new();
        loop {
            let slice = expiry.take_due(Timestamp::from_millis(now), 7);
            assert!(slice.len() <= 7);
            if slice.is_empty() {
                taken.sort();
                return taken;
            }
            taken.extend(slice);
        }
    }

    #[test]
    fn only_what_is_due_is_taken_and_only_once() {
        let expiry = Expiry::new(Precision::QuarterSecond);
        let ids: Vec<_> = (0..1_000).map(|_| OperationId::random()).collect();
        for (index, id) in ids.iter().enumerate() {
            expiry.insert(*id, if index % 2 == 0 { SHORT } else { LONG });
        }
        assert_eq!(take_all(&expiry, 10_000), [], "a tick is due when it is over");
        let mut expected: Vec<_> = ids.iter().copied().step_by(2).collect();
        expected.sort();
        assert_eq!(take_all(&expiry, 10_250), expected);
        assert_eq!(take_all(&expiry, 10_250), []);
    }

    #[test]
    fn what_was_removed_is_not_due() {
        let expiry = Expiry::new(Precision::QuarterSecond);
        let mut ids: Vec<_> = (0..1_000).map(|_| OperationId::random()).collect();
        ids.iter().for_each(|id| expiry.insert(*id, SHORT));
        let others = ids.split_off(500);
        for id in others.iter().rev() {
            expiry.remove(*id, SHORT);
            expiry.remove(*id, SHORT);
            expiry.remove(*id, LONG);
        }
        ids.sort();
        assert_eq!(take_all(&expiry, 20_250), ids);
        assert!(expiry.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn a_tick_without_operations_is_given_back() {
        let expiry = Expiry::new(Precision::QuarterSecond);
        let id = OperationId::random();
        expiry.insert(id, SHORT);
        expiry.remove(id, SHORT);
        assert!(expiry.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn a_period_ends_never_early_and_late_by_little() {
        for tick in [Precision::Millisecond as u64, Precision::QuarterSecond as u64] {
            for from in [0, 249, 1_785_000_000_123] {
                for length in [0, 1, 249, 250, 60_000, 127_999, 128_000, 3_600_000, 1_000_000_007, u64::MAX] {
                    let from = Timestamp::from_millis(from);
                    let period = Period { from, length: Duration::from_millis(length) };
                    let due = period.tick(tick).saturating_add(1).saturating_mul(tick);
                    assert!(due >= period.end().as_millis(), "{period:?}");
                    assert!(due - period.end().as_millis() <= tick + length / PRECISION, "{period:?}");
                }
            }
        }
    }

    #[test]
    fn operations_of_a_long_period_share_few_ticks() {
        let expiry = Expiry::new(Precision::QuarterSecond);
        for second in 0..3_600 {
            let from = Timestamp::from_millis(second * 1_000);
            let period = Period { from, length: Duration::from_secs(3_600) };
            (0..64).for_each(|_| expiry.insert(OperationId::random(), period));
        }
        let buckets: usize = expiry.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(buckets <= SHARDS * 2 * PRECISION as usize, "{buckets}");
    }
}
