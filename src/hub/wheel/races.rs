//! How one who comes to wait and the one who turns the wheel may interleave: every way is tried, and in none is
//! anybody left waiting, which the scheduler would report as a deadlock.

use std::{future::poll_fn, sync::Arc};

use shuttle::{check_dfs, future::block_on, thread};

use super::*;

/// Tries all interleavings of two who share a wheel that already turns: `turns` is the one who has the right to turn
/// it, `waits` the one who comes.
fn try_all(turns: fn(&Wheel), waits: fn(&Wheel)) {
    let every = move || {
        let wheel = Arc::new(Wheel::new());
        assert!(wheel.begin());
        let shared = Arc::clone(&wheel);
        let turning = thread::spawn(move || turns(&shared));
        waits(&wheel);
        turning.join().unwrap();
        assert!(wheel.is_idle());
    };
    check_dfs(every, None);
}

/// Waits for the first tick, and turns the wheel to it if nobody else is there to.
fn wait(wheel: &Wheel) {
    let mut deadline = None;
    wait_on(wheel, &mut deadline);
}

/// The same as a future that was polled elsewhere before.
fn wait_handed_on(wheel: &Wheel) {
    let mut deadline = None;
    assert!(poll(wheel, &mut deadline, Waker::noop()).is_pending());
    wait_on(wheel, &mut deadline);
}

fn wait_on(wheel: &Wheel, deadline: &mut Option<Deadline>) {
    block_on(poll_fn(|context| poll(wheel, deadline, context.waker())));
    wheel.leave(deadline.as_ref().unwrap());
}

fn poll(wheel: &Wheel, deadline: &mut Option<Deadline>, waker: &Waker) -> Poll<()> {
    let polled = match deadline {
        None => {
            *deadline = Some(wheel.enter(1, 0, waker));
            Poll::Pending
        }
        Some(deadline) => wheel.poll(deadline, waker),
    };
    if polled.is_pending() && !wheel.is_turning() && wheel.begin() {
        wheel.advance(2);
    }
    polled
}

#[test]
fn a_tick_that_passes_meanwhile_is_noticed() {
    let turns = |wheel: &Wheel| [1, 2].into_iter().for_each(|now| wheel.advance(now));
    try_all(turns, wait);
    try_all(turns, wait_handed_on);
}

#[test]
fn the_wheel_does_not_rest_while_somebody_waits() {
    let turns = |wheel: &Wheel| {
        if !wheel.rest() {
            wheel.advance(1);
        }
    };
    try_all(turns, wait);
}

#[test]
fn a_wheel_whose_turner_is_lost_is_turned_by_those_who_wait() {
    let turns = |wheel: &Wheel| {
        wheel.stop();
        wheel.wake_all();
    };
    try_all(turns, wait);
    try_all(turns, wait_handed_on);
}
