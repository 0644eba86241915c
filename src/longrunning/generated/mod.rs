//! The messages and services of `proto/`, made by `tests/generated.rs`.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, rustdoc::all)]

#[rustfmt::skip]
#[path = "google.api.rs"]
mod google_api;
#[rustfmt::skip]
#[path = "google.longrunning.rs"]
pub(super) mod google_longrunning;
#[rustfmt::skip]
#[path = "tower_respond_async.v1.rs"]
mod tower_respond_async_v1;

/// The messages of `google.longrunning.Operations`, and those that its operations hold.
pub mod messages {
    pub use super::{
        google_api::HttpBody,
        google_longrunning::{
            CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
            ListOperationsResponse, Operation, OperationInfo, WaitOperationRequest, operation,
        },
        tower_respond_async_v1::{FailedAttempt, OperationMetadata, Progress, operation_metadata},
    };
}
