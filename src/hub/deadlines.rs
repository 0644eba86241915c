//! Deadlines for requests in line: coarse, shared and cheap.
//!
//! A timer of its own for each request would cost more than all else the layer does to a quick one. Here a request that
//! is not ready at once leaves its waker in a wheel of slots, one slot for each tick; a single task turns the wheel and
//! wakes what is due. A deadline is met between one and two ticks late, which nobody notices who waits for a budget.
//! The wheel turns only while somebody waits.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use slab::Slab;
use tokio::time::Instant;

use super::background::Tasks;

const TICK_MILLIS: u64 = 4;
const SLOTS: u64 = 256;
const SHARDS: usize = 8;
/// How long the wheel goes on turning after the last request has left, so that the next need not set it going.
const IDLE_TICKS: u64 = 64;

#[derive(Debug)]
pub(crate) struct Deadlines {
    started: Instant,
    /// The ticks that have passed; behind the time while the wheel stands still.
    now: AtomicU64,
    turning: AtomicBool,
    tasks: Tasks,
    shards: [Mutex<Wheel>; SHARDS],
}

#[derive(Debug)]
struct Wheel {
    slots: Box<[Slab<Waiter>]>,
    waiters: usize,
}

#[derive(Debug)]
struct Waiter {
    due: u64,
    /// Absent once woken.
    waker: Option<Waker>,
}

/// One request's place in the wheel. It must be given back with [`Deadlines::leave`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Deadline {
    due: u64,
    shard: u32,
    key: u32,
}

impl Deadlines {
    pub(crate) fn new(tasks: Tasks) -> Self {
        Self {
            started: Instant::now(),
            now: AtomicU64::new(0),
            turning: AtomicBool::new(false),
            tasks,
            shards: std::array::from_fn(|_| Mutex::new(Wheel::new())),
        }
    }

    /// Takes a place that is due once `budget` is over.
    pub(crate) fn enter(self: &Arc<Self>, budget: Duration, waker: &Waker) -> Deadline {
        let turning = self.turning.load(Ordering::Acquire);
        let now = if turning { self.now.load(Ordering::Acquire) } else { self.ticks() };
        let due = now.saturating_add(whole_ticks(budget)).saturating_add(1);
        let shard = shard_of_thread();
        let key = self.shard(shard).enter(due, waker);
        // Looked at again, now that whoever wants to rest would see the newcomer.
        if !self.turning.load(Ordering::SeqCst) {
            self.turn();
        }
        Deadline { due, shard: shard as u32, key: key as u32 }
    }

    /// Whether the deadline has come; if not, the waker is woken when it does.
    pub(crate) fn poll(self: &Arc<Self>, deadline: &Deadline, context: &Context<'_>) -> Poll<()> {
        if self.now.load(Ordering::Acquire) >= deadline.due {
            return Poll::Ready(());
        }
        self.shard(deadline.shard as usize).renew(deadline, context.waker());
        if !self.turning.load(Ordering::SeqCst) {
            self.turn();
        }
        Poll::Pending
    }

    pub(crate) fn leave(&self, deadline: &Deadline) {
        let waiter = self.shard(deadline.shard as usize).leave(deadline);
        drop(waiter);
    }

    fn shard(&self, shard: usize) -> MutexGuard<'_, Wheel> {
        // In bounds: the remainder of a division by the number of shards.
        self.shards[shard % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticks(&self) -> u64 {
        whole_ticks(self.started.elapsed())
    }

    /// Sets the wheel turning, if there is a runtime to turn it and nobody else has.
    fn turn(self: &Arc<Self>) {
        if self.tasks.can_spawn() && !self.turning.swap(true, Ordering::SeqCst) {
            self.now.fetch_max(self.ticks(), Ordering::AcqRel);
            self.tasks.spawn(turn(Turning { deadlines: Arc::clone(self), held: true }));
        }
    }

    /// Wakes what became due from tick `from` to tick `to`.
    fn wake(&self, from: u64, to: u64) {
        for shard in 0..SHARDS {
            for tick in from..=to.min(from + SLOTS - 1) {
                let due = self.shard(shard).due(tick, to);
                due.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn wake_all(&self) {
        for shard in 0..SHARDS {
            for tick in 0..SLOTS {
                let all = self.shard(shard).due(tick, u64::MAX);
                all.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn is_idle(&self) -> bool {
        (0..SHARDS).all(|shard| self.shard(shard).waiters == 0)
    }
}

async fn turn(mut wheel: Turning) {
    let deadlines = Arc::clone(&wheel.deadlines);
    let mut passed = deadlines.now.load(Ordering::Acquire);
    let mut idle_since = passed;
    while !deadlines.tasks.are_closing() {
        tokio::time::sleep_until(deadlines.started + Duration::from_millis((passed + 1) * TICK_MILLIS)).await;
        let now = deadlines.ticks();
        deadlines.now.store(now, Ordering::Release);
        deadlines.wake(passed + 1, now);
        passed = now;
        if !deadlines.is_idle() {
            idle_since = now;
        } else if now - idle_since >= IDLE_TICKS && wheel.rest() {
            break;
        }
    }
}

/// The right to turn the wheel. Where it is lost with its task, because the runtime goes, those who wait are woken and
/// set the wheel turning elsewhere.
struct Turning {
    deadlines: Arc<Deadlines>,
    held: bool,
}

impl Turning {
    /// Gives the right up, unless somebody has come to wait meanwhile.
    fn rest(&mut self) -> bool {
        let turning = &self.deadlines.turning;
        turning.store(false, Ordering::SeqCst);
        self.held = !self.deadlines.is_idle() && !turning.swap(true, Ordering::SeqCst);
        !self.held
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        if self.held {
            self.deadlines.turning.store(false, Ordering::SeqCst);
            self.deadlines.wake_all();
        }
    }
}

impl Wheel {
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

    /// Takes the wakers of those in the slot of `tick` who were due by `now`.
    fn due(&mut self, tick: u64, now: u64) -> Vec<Waker> {
        let waiters = self.slot(tick).iter_mut();
        waiters.filter(|(_, waiter)| waiter.due <= now).filter_map(|(_, waiter)| waiter.waker.take()).collect()
    }
}

fn whole_ticks(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis().div_ceil(TICK_MILLIS.into())).unwrap_or(u64::MAX)
}

/// Each thread has a shard of its own, as far as they go round.
fn shard_of_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use super::*;

    async fn wait(deadlines: &Arc<Deadlines>, budget: Duration) {
        let mut deadline = None;
        poll_fn(|context| {
            let deadline = deadline.get_or_insert_with(|| deadlines.enter(budget, context.waker()));
            deadlines.poll(deadline, context)
        })
        .await;
        deadlines.leave(&deadline.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn is_met_at_most_two_ticks_late_and_never_early() {
        let deadlines = Arc::new(Deadlines::new(Tasks::default()));
        for millis in [0, 1, 3, 4, 5, 100, 1_023, 1_024, 1_025, 5_000] {
            for idle in [0, 1, 2_000] {
                tokio::time::sleep(Duration::from_millis(idle)).await;
                let begun = Instant::now();
                wait(&deadlines, Duration::from_millis(millis)).await;
                let taken = begun.elapsed().as_millis() as u64;
                assert!((millis..=millis + 2 * TICK_MILLIS + 1).contains(&taken), "{millis} ms took {taken} ms");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wheel_rests_when_nobody_waits() {
        let deadlines = Arc::new(Deadlines::new(Tasks::default()));
        wait(&deadlines, Duration::from_millis(10)).await;
        assert!(deadlines.turning.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!deadlines.turning.load(Ordering::SeqCst));
        assert!(deadlines.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_waker_is_the_one_woken() {
        let deadlines = Arc::new(Deadlines::new(Tasks::default()));
        let mut waiting = pin!(wait(&deadlines, Duration::from_millis(50)));
        let mut elsewhere = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut elsewhere).is_pending());
        waiting.await;
    }

    #[test]
    fn a_lost_runtime_leaves_nobody_waiting() {
        let paused = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let deadlines = Arc::new(Deadlines::new(Tasks::default()));
        let mut waiting = Box::pin(wait(&deadlines, Duration::from_millis(20)));
        let first = paused();
        first.block_on(async {
            assert!(poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
        });
        drop(first);
        paused().block_on(waiting);
    }
}
