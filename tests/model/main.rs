//! The life of operations against a model of it: whatever is submitted, answered, canceled, forgotten and waited for,
//! in whatever order, every answer is the one the model expects. It holds R2 (the first poll finds the operation), R4,
//! R5, R7 and R9 (one end, which never changes) over random histories, and that nobody is shown what has expired.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

mod command;
mod history;
mod life;
mod stage;

use history::History;
use proptest::{
    collection::vec,
    prelude::ProptestConfig,
    test_runner::{RngSeed, TestError, TestRunner},
};

/// In milliseconds: the rules that all operations have here.
const BUDGET: u64 = 200;
const MAX_RUN_TIME: u64 = 5_000;
const RETENTION: u64 = 7_000;
/// A deadline is met at most two ticks of four milliseconds late.
const BUDGET_LATENESS: u64 = 9;
/// What runs too long is found after at most a tick of the store and a period of the sweeper, of 250 each.
const SWEEP_LATENESS: u64 = 510;
const MAX_RUNNING: usize = 3;
const MAX_KEPT: usize = 32;
const MAX_KEPT_BYTES: usize = 1024 * 1024;

const CASES: u32 = 256;

#[test]
fn r2_r7_r9_every_history_goes_as_the_model_has_it() {
    let config = ProptestConfig {
        cases: CASES,
        rng_seed: RngSeed::Fixed(7240),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&vec(command::command(), 1..MAX_KEPT), |commands| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut history = History::begin().await;
            for command in &commands {
                history.take(command).await;
            }
            history.end().await;
        });
        Ok(())
    });
    if let Err(TestError::Fail(reason, commands)) = outcome {
        panic!("{reason}\nin the history {commands:#?}");
    }
    outcome.unwrap();
}
