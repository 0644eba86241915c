//! A gRPC server with a method that may take minutes, and a client that runs it as a long-running operation
//! (`google.longrunning`).
//!
//! ```console
//! $ cargo run --release --features grpc --example grpc
//! listening on http://127.0.0.1:50051
//! ```
//!
//! ```console
//! $ cargo run --release --features grpc --example grpc -- client 300
//! ```
//!
//! The method `primes.v1.Primes/FindGap` is slow, `IsPrime` is quick, `List` is a stream.
//! `google.longrunning.Operations`, `grpc.health.v1.Health`, reflection and, for browsers, the monitor at `/operations`
//! are on the same port.
//!
//! `SIGTERM` and Ctrl-C end the server: searches get some time, then connections. A second signal ends it at once.
//! `RUST_LOG` says what is logged to standard error.

mod arguments;
mod client;
mod gaps;
mod generated;
mod primes;
mod server;
#[path = "../support/shutdown.rs"]
mod shutdown;
mod sieve;
#[path = "../support/stop_signal.rs"]
mod stop_signal;

use std::{env, io, process::ExitCode};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let ended = match Arguments::parse(env::args().skip(1)) {
        Ok(Arguments::Serve { listen }) => server::serve(listen).await,
        Ok(Arguments::Client(search)) => client::find_gap(search).await,
        Err(wrong) => {
            eprintln!("{wrong}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
