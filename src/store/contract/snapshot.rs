//! What is known of operations.

use std::sync::Arc;

use crate::{
    operation::{Failure, Life, OperationId, Reply, Report, State, Timestamp},
    policy::Terms,
};

/// How much of an operation to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// All but the headers, body and trailers of its reply. A store may read more.
    Status,
    /// Everything.
    Reply,
}

/// An operation as it was at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its name.
    pub id: OperationId,
    /// When it was created.
    pub created: Timestamp,
    /// The store's time when this was read.
    pub now: Timestamp,
    /// The terms on which it runs.
    pub terms: Arc<Terms>,
    /// Where it is in its life.
    pub life: Life,
    /// How far it is, where that was reported.
    pub progress: Option<Report>,
    /// Its attempts that failed without a reply, the latest last.
    pub failed_attempts: Vec<FailedAttempt>,
    /// How it ended, once it has.
    pub end: Option<Arc<End>>,
}

impl Snapshot {
    /// An operation without progress, failed attempts and an end.
    #[must_use]
    pub fn new(id: OperationId, created: Timestamp, now: Timestamp, terms: Arc<Terms>, life: Life) -> Self {
        Self { id, created, now, terms, life, progress: None, failed_attempts: Vec::new(), end: None }
    }

    /// The operation's state.
    #[must_use]
    pub fn state(&self) -> State {
        self.life.state
    }
}

/// An attempt that failed without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// Its number.
    pub number: u32,
    /// Why.
    pub failure: Failure,
    /// When that was noticed.
    pub at: Timestamp,
}

impl FailedAttempt {
    /// The attempt of this number, which failed so.
    #[must_use]
    pub fn new(number: u32, failure: Failure, at: Timestamp) -> Self {
        Self { number, failure, at }
    }
}

/// How an operation ended, for as long as it is kept.
#[derive(Debug)]
#[non_exhaustive]
pub struct End {
    /// Its reply; for [`Part::Status`] maybe without headers, body and trailers.
    pub reply: Reply,
    /// When.
    pub at: Timestamp,
}

impl End {
    /// The end of an operation with this reply.
    #[must_use]
    pub fn new(reply: Reply, at: Timestamp) -> Self {
        Self { reply, at }
    }
}

impl AsRef<Reply> for End {
    fn as_ref(&self) -> &Reply {
        &self.reply
    }
}

/// Which operations to list.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ListFilter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those that come after this one in the list.
    pub after: Option<(Timestamp, OperationId)>,
}

/// A part of an owner's list.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listed {
    /// The operations, newest first. Their replies have no more than a [status](Part::Status).
    pub operations: Vec<Snapshot>,
    /// What to list after, where more may follow.
    pub next: Option<(Timestamp, OperationId)>,
}

/// How many operations there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Accepted and not started.
    pub queued: u64,
    /// At work.
    pub running: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Ended on demand.
    pub canceled: u64,
    /// The bytes of all kept replies.
    pub reply_bytes: u64,
}
