//! Alternatives that are measured in turns, so that a machine that slows down slows all of them.

use tokio::{runtime::Runtime, task::unconstrained};

use super::callees::Calls;

/// Few enough that their requests stay in the cache.
const BATCH: usize = 64;
const BATCHES: usize = 16;

/// Nanoseconds per call, for each alternative and each round.
pub(crate) struct Measured<K>(Vec<(K, Vec<f64>)>);

impl<K: Copy + PartialEq> Measured<K> {
    /// Each alternative has a runtime of its own, as the timers of one would make those of another cheaper.
    pub(crate) fn of(mut alternatives: Vec<(K, Runtime, Calls)>, rounds: usize) -> Self {
        let mut measured: Vec<_> = alternatives.iter().map(|(name, ..)| (*name, Vec::new())).collect();
        for round in 0..rounds + 10 {
            // Each is once the first, so that none always meets the other's caches.
            alternatives.rotate_left(1);
            for (name, runtime, calls) in &alternatives {
                let time: f64 = (0..BATCHES).map(|_| run(runtime, calls, BATCH)).sum();
                if let Some((_, times)) = measured.iter_mut().find(|(of, _)| of == name).filter(|_| round >= 10) {
                    times.push(time / (BATCH * BATCHES) as f64);
                }
            }
        }
        Self(measured)
    }

    pub(crate) fn times(&self, of: K) -> &[f64] {
        self.0.iter().find(|(name, _)| *name == of).map_or(&[], |(_, times)| times)
    }

    /// What it adds to another, round by round.
    pub(crate) fn added(&self, of: K, to: K) -> Vec<f64> {
        self.times(of).iter().zip(self.times(to)).map(|(time, bare)| time - bare).collect()
    }
}

/// Makes calls in a task, without a budget of tokio's, which would stop the timers of some alternatives after 128
/// calls.
pub(crate) fn run(runtime: &Runtime, calls: &Calls, count: usize) -> f64 {
    runtime.block_on(async { tokio::spawn(unconstrained(calls(count))).await.unwrap() })
}
