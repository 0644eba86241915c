//! The stores of tower-respond-async beside what one would use instead: a job queue over the same server, bare
//! statements of the same server. See `benches/README.md`.

mod alone;
mod apalis;
mod bare;
mod burst;
mod kept;
mod ours;
mod place;
mod polls;
mod replicas;
#[path = "../../support/report.rs"]
#[allow(dead_code)]
mod report;
mod round_trips;
mod servers;
#[path = "../../support/statistics.rs"]
mod statistics;

use servers::Servers;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Operations in a burst.
    operations: usize,
    /// How often each burst is repeated.
    rounds: usize,
    /// Single operations and polls.
    singles: usize,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let given = |option: &str| arguments.iter().any(|argument| argument == option);
    let is_quick = given("--quick");
    let scale = match is_quick {
        true => Scale { operations: 300, rounds: 1, singles: 20 },
        false => Scale { operations: 10_000, rounds: 3, singles: 500 },
    };
    let wanted = |name: &str| {
        let mut names = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|argument| argument == name)
    };
    let servers = Servers::start(given("--redis-flushes-each"));
    if wanted("burst") {
        burst::measure(&servers, scale).await;
    }
    if wanted("alone") {
        alone::measure(&servers, scale).await;
    }
    if wanted("polls") {
        polls::measure(&servers, scale).await;
    }
    if wanted("replicas") {
        replicas::measure(&servers, scale).await;
    }
    if wanted("kept") {
        kept::measure(&servers, scale).await;
    }
}
