//! gRPC: slow unary methods as operations of `google.longrunning`.
//!
//! [`Operations::longrunning`](crate::Operations::longrunning) is the service `google.longrunning.Operations`, to be served
//! beside the application's own: Google's client libraries, and whoever speaks that protocol, follow operations by it,
//! whether they were begun over gRPC or over HTTP.
//!
//! | method | answer |
//! |---|---|
//! | `GetOperation` | the operation as it is now |
//! | `WaitOperation` | the same, as soon as it is done; at the latest when `timeout`, the call's own deadline or the policy's [longest wait](crate::Policy::longest_wait) is over |
//! | `ListOperations` | the caller's own operations, newest first, where [owners](crate::OperationsBuilder::owner) are told apart; `filter` may say `done=true` or `done=false` |
//! | `CancelOperation` | ends it, if it is not done: it stays, with an error of the code `CANCELLED` |
//! | `DeleteOperation` | forgets it, if it is done; else `FAILED_PRECONDITION` |
//!
//! An operation's name is `operations/{id}`. One that never was, has expired, was deleted or belongs to someone else is
//! `NOT_FOUND`, and so is a name that is none.
//!
//! # What an operation says
//!
//! `metadata` is a [`messages::OperationMetadata`]. Once it is `done`, an operation that was begun over gRPC has as its
//! `response` its method's own reply, and as its `error` the `google.rpc.Status` that its handler ended with, details
//! included. One that was begun over HTTP has as its `response` a [`messages::HttpBody`], or an `error` whose code is that
//! of the HTTP status, and whose details hold the reply as an `HttpBody`. Where there is no reply of the handler, the
//! details hold a `google.rpc.ErrorInfo` of the domain `tower-respond-async`, whose reason is the name of the
//! [problem](crate::problem), such as `TIMED_OUT`.

mod generated;
mod message;
mod metadata;
mod methods;
pub(crate) mod name;
pub(crate) mod operation;
mod outcome;
mod service;
pub(crate) mod status;
pub(crate) mod timeout;

pub use generated::{google_longrunning::operations_client::OperationsClient, messages};
pub(crate) use methods::Method;
pub use methods::{Methods, MethodsBuilder, MethodsError};
pub use service::LongRunning;

/// What reflection needs to know of `google.longrunning.Operations` and of the [messages], as a
/// `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/file_descriptor_set.bin");
