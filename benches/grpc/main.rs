//! What the layer adds to a quick unary call of tonic's beside a timeout, and what reading an operation takes beside a
//! method that always answers the same: in time and, where there is valgrind, in instructions.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

#[allow(dead_code, reason = "it is the example's")]
#[path = "../../examples/grpc/generated/mod.rs"]
mod generated;
mod reading;
#[path = "../support/mod.rs"]
mod support;
mod unary;

use reading::Read;
use support::{
    Timers,
    report::{self, Bar, nanoseconds},
    rounds::Measured,
    statistics::{median, ratio},
    valgrind,
};
use unary::Around;

/// What the layer may add, beside what tower-http's `TimeoutLayer` adds.
const BAR: Bar = Bar::AtMost(0.5);

const OURS: &str = "a call that stays in line, beside TimeoutLayer";
const OURS_WITH_STATUS: &str = "a call that may end with a status, beside TimeoutLayer";
const READING: &str = "GetOperation, beside a method with that answer";

fn main() {
    if let Some((alternative, batches)) = valgrind::task() {
        return child(alternative, batches);
    }
    let rounds = if support::is_quick() { 20 } else { 1_000 };
    for timers in Timers::ALL {
        let alternatives = Around::ALL.map(|around| (around, timers.runtime(), unary::calls(around)));
        report_times(timers, &Measured::of(alternatives.into(), rounds));
    }
    let readings = Read::ALL.map(|read| {
        let runtime = Timers::NoOther.runtime();
        let calls = reading::calls(read, &runtime);
        (read, runtime, calls)
    });
    report_readings(&Measured::of(readings.into(), rounds));
    if valgrind::is_there() {
        report_instructions();
    }
}

/// Makes the calls that are counted, numbered as both tables have them, one after the other.
fn child(alternative: usize, batches: usize) {
    let runtime = Timers::AnotherFirst.runtime();
    let calls = match alternative.checked_sub(Around::ALL.len()) {
        None => unary::calls(Around::ALL[alternative]),
        Some(read) => reading::calls(Read::ALL[read], &runtime),
    };
    valgrind::make(batches, &runtime, &calls);
}

fn report_times(timers: Timers, measured: &Measured<Around>) {
    report::title(&format!("Added to a unary call, {}", timers.name()));
    let bare = nanoseconds(median(measured.times(Around::Nothing).iter().copied()));
    report::told("the bare call itself", "", &bare, None);
    let [theirs, ours, with_status] = [Around::TowerHttpTimeout, Around::Ours, Around::OursWithStatus]
        .map(|around| measured.added(around, Around::Nothing));
    let told = |times: &[f64]| nanoseconds(median(times.iter().copied()));
    report::judged(OURS, &told(&ours), &told(&theirs), ratio(&ours, &theirs), BAR);
    report::told(OURS_WITH_STATUS, &told(&with_status), &told(&theirs), Some(ratio(&with_status, &theirs)));
}

fn report_readings(measured: &Measured<Read>) {
    report::title("Reading an operation that runs");
    let [operation, constant] = Read::ALL.map(|read| measured.times(read));
    let told = |times: &[f64]| nanoseconds(median(times.iter().copied()));
    report::told(READING, &told(operation), &told(constant), Some(ratio(operation, constant)));
}

fn report_instructions() {
    report::title("Instructions");
    let [bare, theirs, ours, with_status, operation, constant] = [0, 1, 2, 3, 4, 5].map(valgrind::instructions);
    let told = |count: f64| format!("{count:.0}");
    report::told("the bare call itself, and its request", "", &told(bare), None);
    let [theirs, ours, with_status] = [theirs, ours, with_status].map(|count| count - bare);
    report::judged(OURS, &told(ours), &told(theirs), ours / theirs, BAR);
    report::told(OURS_WITH_STATUS, &told(with_status), &told(theirs), Some(with_status / theirs));
    report::told(READING, &told(operation), &told(constant), Some(operation / constant));
}
