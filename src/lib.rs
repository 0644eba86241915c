//! A tower layer for the Asynchronous Request-Reply pattern.

mod http;
mod hub;
mod layer;
mod monitor;
mod operation;
mod operations;
mod policy;
mod store;
mod telemetry;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(feature = "config")]
pub use crate::policy::Config;
pub use crate::{
    http::problem,
    hub::{Drained, OperationHandle},
    layer::{
        MapServiceError, RequestBody, RespondAsync, RespondAsyncLayer, ResponseBody, ResponseFuture,
        ServiceErrorProblem,
    },
    monitor::{Monitor, MonitorBody, MonitorFuture},
    operation::{Failure, OperationId, Owner, ParseOperationIdError, Progress, State},
    operations::{BuildError, Operations, OperationsBuilder},
    policy::{AtLimit, Completion, Limit, OnDisconnect, Policy, RouteError, Routes, RoutesBuilder, RoutesErrors},
};
