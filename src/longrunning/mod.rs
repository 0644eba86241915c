//! gRPC: slow unary methods as operations of `google.longrunning`.
//!
//! [`Operations::longrunning`](crate::Operations::longrunning) is the service `google.longrunning.Operations`, to be
//! served beside the application's own: Google's client libraries, and whoever speaks that protocol, follow operations
//! by it, whether they were begun over gRPC or over HTTP.
//!
//! # Calls that become operations
//!
//! [`RespondAsyncLayer::grpc`](crate::RespondAsyncLayer::grpc) names the unary methods whose calls the layer looks
//! after, and [`Policy::response_type`](crate::Policy::response_type) names more.
//!
//! | call | answer |
//! |---|---|
//! | with the metadata `prefer: respond-async`, and maybe `wait=N`, over the grace | an `Operation` that is not done, in place of the method's own message |
//! | the same, within the grace or declined | an `Operation` that is `done`, with the method's own metadata. It is not kept: its name is `NOT_FOUND` from the beginning |
//! | the same, failed by then | the method's own status, and `INTERNAL` where its reply is larger than the policy's [largest](crate::Policy::max_reply) |
//! | without that preference | the method's own message or status, however long it takes |
//! | the same over the budget, under [`OnBudget::Status`](crate::OnBudget::Status) | `DEADLINE_EXCEEDED`; the metadata `location` and, in the details, a `google.rpc.ResourceInfo` and a `RetryInfo` tell where and when to look for the reply |
//! | declined, where the policy says [`Unavailable`](crate::AtLimit::Unavailable), or it is durable or has a key and cannot be kept | `RESOURCE_EXHAUSTED` with a `RetryInfo` |
//!
//! A call that may become an operation by one of these is answered before its `grpc-timeout`, unless it is declined and
//! so stays in line, its message is still on its way, or the store takes longer. One that waits for the end of an
//! operation, as under a key, is told of it as over the budget when the server drains. What is left for the way is a
//! tenth of it, at least 20 ms and at most half a second, but no more than half of it. A time limit that the server
//! sets around the layer is unknown to it: budget and grace must be shorter.
//!
//! The metadata `idempotency-key` means what the header does. The message must be sent again as the same bytes: some
//! encoders write the entries of a map in another order each time, unless they are told to be deterministic. What is
//! wrong with a key is `INVALID_ARGUMENT`, and another message under it `FAILED_PRECONDITION`.
//!
//! Streams, methods of unknown types and gRPC-Web pass untouched. So do methods whose replies are operations without
//! the layer, those of the service below among them. Where a policy and a descriptor set say different things of a
//! method, what the set says holds, and a warning tells of it.
//!
//! # The service
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
//! included. One that was begun over HTTP has as its `response` a [`messages::HttpBody`], or an `error` whose code is
//! that of the HTTP status, and whose details hold the reply as an `HttpBody`. Where there is no reply of the handler,
//! the details hold a `google.rpc.ErrorInfo` of the domain `tower-respond-async`, whose reason is the name of the
//! [problem](crate::problem), such as `TIMED_OUT`. A failure over HTTP alone, as of a proxy, has the code by which
//! gRPC's clients read it. A message in an encoding other than gzip, deflate and zstd cannot be read: its operation has
//! an `error` of the code `INTERNAL`, though its call has succeeded, whose reply is replayed as it is.

mod generated;
pub(crate) mod message;
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
