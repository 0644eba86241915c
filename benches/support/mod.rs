//! What the benchmarks share. Each of them uses its part.

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

pub(crate) mod applications;
pub(crate) mod callees;
pub(crate) mod client;
pub(crate) mod generator;
pub(crate) mod handwritten;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod statistics;

/// Whether this is a short run that only shows that the benchmark works: with `--quick`, and under `cargo test`.
pub(crate) fn is_quick() -> bool {
    let given = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    given("--quick") || !given("--bench")
}
