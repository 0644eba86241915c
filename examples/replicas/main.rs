//! Replicas of one service that share a store: some answer clients, some work, some do both, and what one has accepted
//! any other knows, and finishes if the first dies.
//!
//! ```console
//! $ cargo run --example replicas --all-features -- --role both --store sqlite:operations.db --listen 127.0.0.1:3000
//! listening on http://127.0.0.1:3000
//! ```
//!
//! `POST /jobs` is durable: it is stored first, and any replica that works may run it. `POST /reports` is detached: it
//! runs where it came in, and is lost with that replica. Both take `?milliseconds=`, and reply with a fingerprint of
//! the request's body that takes so long to make.
//!
//! `SIGTERM` and Ctrl-C end it: what runs gets some time, then durable work is handed to the others and connections get
//! some time. A second signal hands over at once, and ends it. `RUST_LOG` says what is logged to standard error.

mod aborts;
mod arguments;
mod work;

#[path = "../support/shutdown.rs"]
mod shutdown;
#[path = "../support/stop_signal.rs"]
mod stop_signal;

use std::{env, error::Error, io, process::ExitCode, time::Duration};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_respond_async::{
    Execution, Operations, OperationsBuilder, Policy, Routes,
    store::{Store, postgres::PostgresStore, redis::RedisStore, sqlite::SqliteStore},
};
use tracing::{info, level_filters::LevelFilter};
use tracing_subscriber::EnvFilter;

use crate::{
    aborts::Aborting,
    arguments::{Arguments, Location, Role},
    shutdown::shut_down,
    work::Workshop,
};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", with_sources(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal says to stop.
async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { role, store, listen, lease, retention, name, journal } = arguments;
    let builder = Operations::builder().lease(lease).only_accepts(role == Role::Api);
    let operations = open(builder, &store).await?.build()?;
    let workshop = Workshop::open(name.clone(), journal.as_deref())
        .map_err(|error| format!("the journal cannot be written to: {error}"))?;
    let app = workshop.router().layer(operations.layer(routes(retention)?));

    let listener = TcpListener::bind(listen).await.map_err(|error| format!("{listen}: {error}"))?;
    let closing = CancellationToken::new();
    let shut_down = shut_down(operations.clone(), closing.clone());
    println!("listening on http://{}", listener.local_addr()?);
    info!(name, "serving");

    if role != Role::Api {
        tokio::spawn(operations.worker(app.clone()).run());
    }
    let served = match role {
        Role::Api | Role::Both => app,
        Role::Worker => Router::new(),
    };
    let served = served
        .route("/health", get(async move || format!("{name}\n")))
        .nest_service("/operations", operations.monitor());
    tokio::select! {
        served = axum::serve(listener, served).with_graceful_shutdown(closing.cancelled_owned()) => served?,
        () = shut_down => {}
    }
    Ok(())
}

fn routes(retention: Duration) -> Result<Routes, Box<dyn Error>> {
    let policy = Policy::new().budget(Duration::from_millis(300)).retention(retention);
    // Replicas that are killed all the time are not the fault of a job.
    let durable = policy.clone().execution(Execution::Durable).max_attempts(50).backoff(Duration::from_millis(100));
    let routes = Routes::builder().route("/jobs", durable).route("/reports", policy).build()?;
    Ok(routes)
}

/// Opens the store, and has it used.
async fn open(builder: OperationsBuilder, store: &Location) -> Result<OperationsBuilder, Box<dyn Error>> {
    Ok(match store {
        Location::Sqlite(path) => with(builder, SqliteStore::open(path).await?)?,
        Location::Postgres(url) => {
            let store = PostgresStore::at(url)?;
            store.migrate().await?;
            with(builder, store.connect().await?)?
        }
        Location::Redis(url) => with(builder, RedisStore::builder(url).open().await?)?,
    })
}

fn with(builder: OperationsBuilder, store: impl Store) -> Result<OperationsBuilder, Box<dyn Error>> {
    Ok(match Aborting::from_environment()? {
        Some(abort) => builder.store(abort.around(store)),
        None => builder.store(store),
    })
}

fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
