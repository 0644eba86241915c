//! The rules for durable execution.

use std::time::Duration;

use super::{Execution, Policy};

/// How an operation survives its process.
impl Policy {
    /// What becomes of an operation whose process dies.
    ///
    /// Durable execution needs a [store](crate::OperationsBuilder::store) outside the process: without one, the request
    /// is detached like any other, and a warning is logged. Where there is no room for another operation, the request
    /// is queued, and its handler does not begin here; so its service must begin nothing before its future is polled,
    /// as those made of async functions do.
    ///
    /// Default: [`Execution::Detached`].
    #[must_use]
    pub fn execution(mut self, execution: Execution) -> Self {
        self.is_durable = execution == Execution::Durable;
        self
    }

    /// How many attempts of a durable operation may fail without a reply, by a panic, an error of the service or the
    /// death of their process, before the operation does.
    ///
    /// The status document tells of those that have, under `attempts`: the number of each, why and when.
    ///
    /// Default: 3. At least 1.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long a durable operation rests after its first failed attempt; twice as long after each further one, up to
    /// an hour.
    ///
    /// Default: 1 second.
    #[must_use]
    pub fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }
}
