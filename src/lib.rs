//! A tower layer that keeps slow endpoints from timing out.
//!
//! Put one layer around a service. Quick requests stay exactly as they were. A request that turns out slow, or whose
//! client says `Prefer: respond-async`, is answered `202 Accepted` with a `Location`, goes on by itself, and its reply
//! waits there, whole, for whoever is entitled to it.
//!
//! [`Operations`] is made once; it gives out the [layer](Operations::layer) and the [monitor](Operations::monitor) that
//! serves what has become of the requests. A [`Policy`] says when a request is detached and what becomes of it.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::post};
//! use tower_respond_async::{Operations, Policy};
//!
//! async fn report() -> &'static str {
//!     tokio::time::sleep(Duration::from_secs(5)).await;
//!     "the report\n"
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let operations = Operations::builder().base_path("/operations").build()?;
//! let app: Router = Router::new()
//!     .route("/reports", post(report))
//!     .layer(operations.layer(Policy::new().budget(Duration::from_millis(300))))
//!     .nest_service("/operations", operations.monitor());
//! # Ok(())
//! # }
//! ```
//!
//! # Operations that survive
//!
//! By default operations live in this process, and end with it. In a [`store`] outside it they outlive it, and every
//! replica of the application knows them. With `Execution::Durable` the request itself is stored before it is accepted,
//! and a `Worker` of any replica runs it again if the first one dies (feature `durable`, which the stores bring):
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! # use axum::{Router, routing::post};
//! use tower_respond_async::{Execution, Operations, Policy, store::sqlite::SqliteStore};
//!
//! let store = SqliteStore::open("operations.db").await?;
//! let operations = Operations::builder().store(store).build()?;
//! let app: Router = Router::new()
//!     .route("/reports", post(async || "the report\n"))
//!     .layer(operations.layer(Policy::new().execution(Execution::Durable)));
//! tokio::spawn(operations.worker(app.clone()).run());
//! # Ok(())
//! # }
//! ```
//!
//! # gRPC
//!
//! [`Operations::longrunning`](Operations#method.longrunning) is the service `google.longrunning.Operations`, by which
//! clients of gRPC follow operations, whichever way these were begun (feature `grpc`):
//!
//! ```
//! # #[cfg(feature = "grpc")]
//! # fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::Router;
//! use tonic::service::Routes;
//! use tower_respond_async::Operations;
//!
//! let operations = Operations::builder().build()?;
//! let app: Router = Routes::new(operations.longrunning())
//!     .into_axum_router()
//!     .nest_service("/operations", operations.monitor());
//! # Ok(())
//! # }
//! ```
//!
//! # Words
//!
//! - An *operation* is a request that was detached, from its `202` until it is forgotten.
//! - The *status monitor* is the resource at its `Location` (RFC 9110, section 15.3.3).
//! - Its *reply* is the buffered response: status, headers, body, trailers.
//! - The *budget* is how long a client waits in line before its request is detached, the *grace* how long one may wait
//!   that prefers not to, so that what a handler refuses at once is refused at once.
//! - The *retention* is how long an operation is kept after its end, the *owner* the principal it belongs to.
//! - An *attempt* is a run of an operation, and its number what fences its writes; a *lease* is a replica's promise to
//!   be heard of, under which it runs them.

#[cfg(feature = "durable")]
mod durable;
mod http;
mod hub;
mod layer;
#[cfg(feature = "grpc")]
pub mod longrunning;
mod monitor;
mod operation;
mod operations;
mod policy;
mod replica;
mod run;
pub mod store;
mod sync;
mod telemetry;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(feature = "config")]
pub use crate::policy::Config;
#[cfg(feature = "grpc")]
pub use crate::policy::OnBudget;
#[cfg(feature = "durable")]
pub use crate::{durable::Worker, layer::StoredBody, policy::Execution};
pub use crate::{
    http::problem,
    hub::Drained,
    layer::{
        MapServiceError, RequestBody, RespondAsync, RespondAsyncLayer, ResponseBody, ResponseFuture,
        ServiceErrorProblem,
    },
    monitor::{Monitor, MonitorBody, MonitorFuture},
    operation::{OperationId, Owner, ParseOperationIdError, Progress, State},
    operations::{BuildError, Operations, OperationsBuilder},
    policy::{AtLimit, Completion, Limit, OnDisconnect, Policy, RouteError, Routes, RoutesBuilder, RoutesErrors},
    run::OperationHandle,
};

// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
