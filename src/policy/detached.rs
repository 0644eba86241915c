//! The rules for a request that was detached.

use std::time::Duration;

use super::{Completion, Policy};

/// What becomes of a detached request.
impl Policy {
    /// How long an operation may run, counted from its `202 Accepted`.
    ///
    /// Default: 1 hour. More than zero. One that takes longer is dropped and ends as `failed`, reason `timed-out`.
    #[must_use]
    pub fn max_run_time(mut self, longest: Duration) -> Self {
        self.max_run_time = Some(longest);
        self
    }

    /// Lets an operation run for ever.
    #[must_use]
    pub fn without_max_run_time(mut self) -> Self {
        self.max_run_time = None;
        self
    }

    /// How long a finished operation and its reply are kept, counted from its end.
    ///
    /// Default: 10 minutes. More than zero.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// The largest reply that is kept: its headers, body and trailers together.
    ///
    /// In bytes. Default: 8 MiB. More than zero. An operation with a larger one ends as `failed`, reason
    /// `reply-too-large`.
    ///
    /// Over gRPC, its message must be no larger either once it is decompressed; and so a call fails in line, too, whose
    /// client has asked for an operation.
    #[must_use]
    pub fn max_reply(mut self, bytes: usize) -> Self {
        self.max_reply = bytes;
        self
    }

    /// How the status monitor leads to the reply of a finished operation.
    ///
    /// Default: [`Completion::SeeOther`].
    #[must_use]
    pub fn completion(mut self, completion: Completion) -> Self {
        self.completion = completion;
        self
    }

    /// Whether the monitor redirects straight to the `Location` of a `201 Created` reply, the resource
    /// that was made, instead of to the kept reply.
    ///
    /// Default: no.
    #[must_use]
    pub fn follow_created(mut self, follow: bool) -> Self {
        self.follow_created = follow;
        self
    }

    /// Whether the handler finds an `OperationHandle` in the request's extensions, to report progress
    /// and see cancellation.
    ///
    /// Default: no, because it costs an allocation for every request.
    #[must_use]
    pub fn handle(mut self, handle: bool) -> Self {
        self.handle = handle;
        self
    }
}
