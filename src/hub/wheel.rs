//! A timing wheel without a clock and a task: who waits for which tick, and whether somebody turns it.

use std::{
    ops::RangeInclusive,
    sync::PoisonError,
    task::{Poll, Waker},
};

use slab::Slab;

use crate::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

const SLOTS: u64 = 256;
// Few, where all ways to lock them are tried out.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 8 };

#[derive(Debug)]
pub(super) struct Wheel {
    /// The tick up to which those who wait have been woken; behind the time while nobody turns the wheel.
    now: AtomicU64,
    turning: AtomicBool,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug)]
struct Shard {
    slots: Box<[Slab<Waiter>]>,
    waiters: usize,
}

#[derive(Debug)]
struct Waiter {
    due: u64,
    /// Absent once woken.
    waker: Option<Waker>,
}

/// One request's place in the wheel. It must be given back with [`Wheel::leave`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Deadline {
    due: u64,
    shard: u32,
    key: u32,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            now: AtomicU64::new(0),
            turning: AtomicBool::new(false),
            shards: std::array::from_fn(|_| Mutex::new(Shard::new())),
        }
    }

    /// Takes a place that is due at tick `due`. Threads that differ by `shard` do not get in each other's way.
    pub(super) fn enter(&self, due: u64, shard: usize, waker: &Waker) -> Deadline {
        let key = self.shard(shard).enter(due, waker);
        // The tick may have passed meanwhile, without a look at this place.
        if self.has_come(due) {
            waker.wake_by_ref();
        }
        Deadline { due, shard: shard as u32, key: key as u32 }
    }

    /// Whether the deadline has come; if not, the waker is woken when it does.
    pub(super) fn poll(&self, deadline: &Deadline, waker: &Waker) -> Poll<()> {
        if self.has_come(deadline.due) {
            return Poll::Ready(());
        }
        self.shard(deadline.shard as usize).renew(deadline, waker);
        // It may have come meanwhile, and the waker before this one have been woken.
        if self.has_come(deadline.due) { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn leave(&self, deadline: &Deadline) {
        let waiter = self.shard(deadline.shard as usize).leave(deadline);
        drop(waiter);
    }

    /// Whether somebody turns the wheel. Who finds, after having taken a place, that nobody does has to
    /// [begin](Self::begin).
    pub(super) fn is_turning(&self) -> bool {
        self.turning.load(Ordering::SeqCst)
    }

    /// Takes the right to turn the wheel, unless somebody has it.
    pub(super) fn begin(&self) -> bool {
        !self.turning.swap(true, Ordering::SeqCst)
    }

    /// Gives the right up, unless somebody has come to wait meanwhile.
    pub(super) fn rest(&self) -> bool {
        self.stop();
        self.is_idle() || !self.begin()
    }

    /// Gives the right up, whoever waits.
    pub(super) fn stop(&self) {
        self.turning.store(false, Ordering::SeqCst);
    }

    /// Wakes all who are due at tick `now` or were before.
    pub(super) fn advance(&self, now: u64) {
        let passed = self.now.swap(now, Ordering::SeqCst);
        let first = (passed + 1).max((now + 1).saturating_sub(SLOTS));
        self.wake(first..=now, now);
    }

    pub(super) fn wake_all(&self) {
        self.wake(0..=SLOTS - 1, u64::MAX);
    }

    /// Wakes those in the slots of these ticks who are due by `now`.
    fn wake(&self, ticks: RangeInclusive<u64>, now: u64) {
        for shard in 0..SHARDS {
            let due = self.shard(shard).due(ticks.clone(), now);
            due.into_iter().for_each(Waker::wake);
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        (0..SHARDS).all(|shard| self.shard(shard).waiters == 0)
    }

    fn has_come(&self, due: u64) -> bool {
        self.now.load(Ordering::SeqCst) >= due
    }

    fn shard(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // In bounds: the remainder of a division by the number of shards.
        self.shards[shard % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Slab::new()).collect(), waiters: 0 }
    }

    fn slot(&mut self, tick: u64) -> &mut Slab<Waiter> {
        // In bounds: the remainder of a division by the number of slots.
        &mut self.slots[(tick % SLOTS) as usize]
    }

    fn enter(&mut self, due: u64, waker: &Waker) -> usize {
        self.waiters += 1;
        self.slot(due).insert(Waiter { due, waker: Some(waker.clone()) })
    }

    fn renew(&mut self, deadline: &Deadline, waker: &Waker) {
        if let Some(waiter) = self.slot(deadline.due).get_mut(deadline.key as usize) {
            match &mut waiter.waker {
                Some(present) => present.clone_from(waker),
                absent => *absent = Some(waker.clone()),
            }
        }
    }

    fn leave(&mut self, deadline: &Deadline) -> Option<Waiter> {
        self.waiters -= 1;
        self.slot(deadline.due).try_remove(deadline.key as usize)
    }

    /// Takes the wakers of those in the slots of `ticks` who are due by `now`.
    fn due(&mut self, ticks: RangeInclusive<u64>, now: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        for tick in ticks {
            let waiters = self.slot(tick).iter_mut().filter(|(_, waiter)| waiter.due <= now);
            due.extend(waiters.filter_map(|(_, waiter)| waiter.waker.take()));
        }
        due
    }
}

#[cfg(shuttle)]
#[cfg(test)]
mod races;
