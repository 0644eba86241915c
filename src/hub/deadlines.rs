//! Deadlines for requests in line: coarse, shared and cheap.
//!
//! A timer of its own for each request would cost more than all else the layer does to a quick one. Here a request that
//! is not ready at once leaves its waker in a wheel of slots, one slot for each tick; a single task turns the wheel and
//! wakes what is due. A deadline is met at most two ticks late, which nobody notices who waits for a budget, and never
//! early. The wheel turns only while somebody waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    background::Tasks,
    wheel::{Deadline, Wheel},
};

const TICK: Duration = Duration::from_millis(4);
/// How late a deadline is met at most.
#[cfg(feature = "grpc")]
pub(crate) const LATENESS: Duration = Duration::from_millis(2 * TICK.as_millis() as u64);
const TICKS_PER_SECOND: u64 = 250;
/// How long the wheel goes on turning after the last request has left, so that the next need not set it going.
const IDLE_TICKS: u64 = 64;

#[derive(Debug)]
pub(crate) struct Deadlines {
    started: Instant,
    wheel: Wheel,
    tasks: Tasks,
}

impl Deadlines {
    pub(crate) fn new(tasks: Tasks) -> Self {
        Self { started: Instant::now(), wheel: Wheel::new(), tasks }
    }

    /// Takes a place that is due once `budget` is over. It must be given back with [`leave`](Self::leave).
    pub(crate) fn enter(self: &Arc<Self>, budget: Duration, waker: &Waker) -> Deadline {
        // From the next tick on, as a part of this one is over.
        let due = self.ticks().saturating_add(1).saturating_add(ticks_of(budget));
        let deadline = self.wheel.enter(due, number_of_thread(), waker);
        self.keep_turning();
        deadline
    }

    /// Whether the deadline has come; if not, the waker is woken when it does.
    pub(crate) fn poll(self: &Arc<Self>, deadline: &Deadline, context: &Context<'_>) -> Poll<()> {
        let polled = self.wheel.poll(deadline, context.waker());
        if polled.is_pending() {
            self.keep_turning();
        }
        polled
    }

    pub(crate) fn leave(&self, deadline: &Deadline) {
        self.wheel.leave(deadline);
    }

    /// The ticks that are over.
    fn ticks(&self) -> u64 {
        let elapsed = self.started.elapsed();
        elapsed.as_secs() * TICKS_PER_SECOND + u64::from(elapsed.subsec_nanos() / TICK.subsec_nanos())
    }

    /// Sets the wheel turning, if there is a runtime to turn it and nobody else has.
    fn keep_turning(self: &Arc<Self>) {
        if !self.wheel.is_turning() && self.tasks.can_spawn() && self.wheel.begin() {
            self.tasks.spawn(turn(Turning { deadlines: Arc::clone(self), held: true }));
        }
    }
}

async fn turn(mut turning: Turning) {
    let deadlines = Arc::clone(&turning.deadlines);
    let mut idle_since = deadlines.ticks();
    while !deadlines.tasks.are_closing() {
        let now = deadlines.ticks();
        deadlines.wheel.advance(now);
        if !deadlines.wheel.is_idle() {
            idle_since = now;
        } else if now - idle_since >= IDLE_TICKS && turning.rest() {
            break;
        }
        let next = Duration::from_millis((now + 1) * TICK.as_millis() as u64);
        tokio::time::sleep_until(deadlines.started + next).await;
    }
}

/// The right to turn the wheel. Where it is lost with its task, because the runtime goes, those who wait are woken and
/// set the wheel turning elsewhere.
struct Turning {
    deadlines: Arc<Deadlines>,
    held: bool,
}

impl Turning {
    fn rest(&mut self) -> bool {
        self.held = !self.deadlines.wheel.rest();
        !self.held
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        if self.held {
            self.deadlines.wheel.stop();
            self.deadlines.wheel.wake_all();
        }
    }
}

/// The ticks that a duration takes, the last one perhaps not to its end.
fn ticks_of(duration: Duration) -> u64 {
    let rest = duration.subsec_nanos().div_ceil(TICK.subsec_nanos());
    duration.as_secs().saturating_mul(TICKS_PER_SECOND).saturating_add(rest.into())
}

/// A number for each thread.
fn number_of_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

#[cfg(not(shuttle))]
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
        deadline.iter().for_each(|deadline| deadlines.leave(deadline));
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
                assert!(
                    (millis..=millis + 2 * TICK.as_millis() as u64 + 1).contains(&taken),
                    "{millis} ms took {taken} ms"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn is_never_early_though_the_wheel_is_turned_late() {
        let deadlines = Arc::new(Deadlines::new(Tasks::default()));
        let mut others = pin!(wait(&deadlines, Duration::from_secs(60)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(others.as_mut().poll(&mut context).is_pending());
        for step in 0..200_u64 {
            // As if something had kept the thread busy, before the wait and in it.
            let [before, busy] = [step * 1_700 % 23_000, step * 2_900 % 31_000].map(Duration::from_micros);
            let budget = Duration::from_micros(500 * step % 50_000);
            tokio::time::advance(before).await;
            let begun = Instant::now();
            let mut waiting = pin!(wait(&deadlines, budget));
            let pending = waiting.as_mut().poll(&mut context).is_pending();
            assert!(pending || budget.is_zero(), "{step}");
            tokio::time::advance(busy).await;
            waiting.await;
            assert!(begun.elapsed() >= budget, "{budget:?} took {:?}", begun.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wheel_rests_when_nobody_waits() {
        let deadlines = Arc::new(Deadlines::new(Tasks::default()));
        wait(&deadlines, Duration::from_millis(10)).await;
        assert!(deadlines.wheel.is_turning());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!deadlines.wheel.is_turning());
        assert!(deadlines.wheel.is_idle());
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
