//! What there is to say of operations that end or are forgotten.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::{
    operation::{Failure, OperationId, Reply, State},
    policy::Terms,
};

/// An operation that has just ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished {
    /// How it ended.
    pub state: State,
    /// Why, where it failed without its handler's reply.
    pub failure: Option<Failure>,
    /// The status of its reply, where it has one.
    pub status: Option<StatusCode>,
    /// The terms on which it ran.
    pub terms: Arc<Terms>,
    /// How long after its creation.
    pub run_time: Duration,
    /// Whether an attempt ran until now.
    pub ran: bool,
}

impl Finished {
    /// What there is to say of an operation that ends with this reply. `run_time` counts from its creation, and `ran`
    /// says whether an attempt ran until now.
    #[must_use]
    pub fn with(reply: &Reply, terms: Arc<Terms>, run_time: Duration, ran: bool) -> Self {
        let (state, failure, status) = (reply.state(), reply.ending().failure(), reply.status_or_none());
        Self { state, failure, status, terms, run_time, ran }
    }

    /// Whether this is the reply with which it ended.
    pub(crate) fn is_with(&self, reply: &Reply) -> bool {
        (self.state, self.failure, self.status) == (reply.state(), reply.ending().failure(), reply.status_or_none())
    }
}

/// What came of a [`Store::cancel`](super::Store::cancel).
#[derive(Debug)]
#[non_exhaustive]
pub enum Cancellation {
    /// It has ended by this.
    Canceled(Finished),
    /// It had ended before.
    AlreadyEnded,
    /// There is no such operation.
    Unknown,
}

/// What a [`Store::sweep`](super::Store::sweep) did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Swept {
    /// The operations that were forgotten.
    pub expired: Vec<OperationId>,
    /// The operations that were ended.
    pub ended: Vec<(OperationId, Finished)>,
    /// The operations that were queued again.
    pub queued: Vec<OperationId>,
    /// Whether there is more to sweep now.
    pub more: bool,
}
