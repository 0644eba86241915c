//! What the benchmarks share. Each of them uses its part.

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

pub(crate) mod applications;
pub(crate) mod callees;
pub(crate) mod client;
pub(crate) mod generator;
pub(crate) mod handwritten;
pub(crate) mod report;
pub(crate) mod rounds;
pub(crate) mod server;
pub(crate) mod statistics;
pub(crate) mod valgrind;

/// Whether this is a short run that only shows that the benchmark works: with `--quick`, and under `cargo test`.
pub(crate) fn is_quick() -> bool {
    let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    given("--quick") || !given("--bench")
}

/// What else a runtime has to do, which decides what a new timer costs: where it is the first to fire, tokio wakes its
/// driver, which is a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timers {
    /// None, as on an idle server: each new timer is the first.
    NoOther,
    /// One that is always about to fire, as on a server under load: a new timer hardly ever is the first.
    AnotherFirst,
}

impl Timers {
    pub(crate) const ALL: [Self; 2] = [Self::NoOther, Self::AnotherFirst];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoOther => "no other timer",
            Self::AnotherFirst => "another timer first",
        }
    }

    /// A runtime on the current thread.
    pub(crate) fn runtime(self) -> Runtime {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        if self == Self::AnotherFirst {
            runtime.spawn(async {
                let mut pulse = tokio::time::interval(Duration::from_millis(500));
                loop {
                    pulse.tick().await;
                }
            });
            // The driver learns of the pulse when it rests.
            runtime.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
        }
        runtime
    }
}
