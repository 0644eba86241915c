//! A reverse proxy that keeps the slow requests of any HTTP backend, in any language, from timing out: quick ones pass
//! as they are, slow ones are answered `202 Accepted` with a `Location` where their reply will be.
//!
//! ```console
//! $ cargo run --example gateway --all-features -- examples/gateway.toml
//! listening on http://127.0.0.1:8000
//! ```
//!
//! The file says where to listen, where the backend is and which requests may become operations;
//! `examples/gateway.toml` explains every key. `RUST_LOG` says what is logged to standard error.
//!
//! `SIGTERM` and Ctrl-C end it: the operations that run get some time, then the connections. A second signal ends it at
//! once.

mod gateway;
mod headers;
mod proxy;
mod refusal;
mod settings;
#[path = "../support/stop_signal.rs"]
mod stop_signal;

use std::{
    convert::Infallible, env, error::Error, ffi::OsString, fs, io, io::IsTerminal, process::ExitCode, time::Duration,
};

use tokio::{net::TcpListener, time};
use tower_respond_async::Operations;
use tracing::{info, level_filters::LevelFilter, warn};
use tracing_subscriber::EnvFilter;

use crate::{
    gateway::{Connections, Gateway},
    settings::Settings,
    stop_signal::stop_signal,
};

const USAGE: &str = "usage: gateway PATH.toml";

/// How long connections may take to end once the operations have.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, as when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();

    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let (settings, operations) = match configuration(&arguments) {
        Ok(configuration) => configuration,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    match run(&settings, &operations).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn configuration(arguments: &[OsString]) -> Result<(Settings, Operations), String> {
    let [path] = arguments else { return Err(USAGE.to_owned()) };
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}\n{USAGE}", path.display()))?;
    let wrong = |report: String| format!("{} is not right:\n{}", path.display(), report.trim_end());
    let settings = Settings::read(&text).map_err(wrong)?;
    let operations = Operations::builder().base_path(&settings.base_path).config(&settings.operations).build();
    Ok((settings, operations.map_err(|report| wrong(report.to_string()))?))
}

/// Serves until a signal says to stop.
async fn run(settings: &Settings, operations: &Operations) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| format!("{}: {error}", settings.listen))?;
    println!("listening on http://{}", listener.local_addr()?);
    info!(upstream = %settings.upstream, monitor = settings.base_path, "serving");

    let gateway = Gateway::new(settings, operations);
    let connections = Connections::new();
    // While operations drain, their clients may still ask for them.
    tokio::select! {
        never = accept(&listener, &gateway, &connections) => match never {},
        () = drain(operations, settings.drain_timeout) => {}
    }
    drop(listener);
    tokio::select! {
        closed = time::timeout(CLOSING_TIME, connections.shutdown()) => {
            if closed.is_err() {
                warn!("some connections did not end in time");
            }
        }
        () = stop_signal() => {}
    }
    Ok(())
}

async fn accept(listener: &TcpListener, gateway: &Gateway, connections: &Connections) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => gateway.serve(stream, peer.ip(), connections),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for a signal, then for the operations to end.
async fn drain(operations: &Operations, patience: Duration) {
    stop_signal().await;
    info!(operations = operations.in_flight(), "draining");
    tokio::select! {
        drained = operations.drain(patience) => {
            info!(finished = drained.finished, interrupted = drained.interrupted, "drained");
        }
        () = stop_signal() => {}
    }
}
