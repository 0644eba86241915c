//! Where operations live: the contract that a store keeps, and the store in memory.
//!
//! Each method is one intent, and atomic: of two that race, one wins and the other changes nothing. An operation is
//! created once, and ends once; what ended never changes (R9). An operation of another owner, an unknown one and an
//! expired one are the same to whoever asks. Only the store's own clock counts.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contract;
#[cfg(feature = "durable")]
mod engine;
mod expiry;
mod future;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use contract::StoreError;
pub use future::StoreFuture;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use memory::{MemoryLimits, MemoryStore};

use crate::{
    hub::Runner,
    operation::{OperationId, Owner, Reply, Report, State, Timestamp},
    policy::Terms,
};

pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// Keeps a new, running operation, or refuses because the store is full. Once this has returned, every other
    /// method knows the operation (R2).
    fn create(&self, operation: NewOperation) -> Result<Timestamp, Full>;

    /// Entrusts the operation with the means to stop whoever runs it here. Gives them back where it has ended
    /// meanwhile.
    fn attach(&self, id: OperationId, runner: Runner) -> Result<(), TooLate>;

    /// Ends a running operation with this reply, or with `reply-too-large` where the store has no room for it.
    /// `None`, and nothing changes, where the operation has ended already or is unknown.
    fn finish(&self, id: OperationId, reply: Reply) -> Option<Finished>;

    /// Ends a running operation of this owner as canceled.
    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> Cancellation;

    /// What is known of an operation of this owner.
    fn read(&self, id: OperationId, owner: Option<&Owner>) -> Option<Snapshot>;

    /// Forgets an operation of this owner that has ended.
    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> bool;

    /// The owner's operations, newest first, at most `limit` of them. There may be fewer although more follow, as no
    /// more than a bounded number is looked at.
    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> Listed;

    /// The operations that run.
    fn running(&self) -> Vec<OperationId>;

    /// Forgets at most `limit` operations whose retention is over, and names those that ran for too long.
    fn sweep(&self, limit: usize) -> Swept;

    /// The bytes of all kept replies.
    fn kept_bytes(&self) -> usize;
}

#[derive(Debug)]
pub(crate) struct NewOperation {
    pub(crate) id: OperationId,
    pub(crate) owner: Option<Owner>,
    pub(crate) terms: Arc<Terms>,
}

/// The store has no room for another operation or its reply.
#[derive(Debug)]
pub(crate) struct Full;

/// An operation has ended before its runner was attached.
#[derive(Debug)]
pub(crate) struct TooLate {
    pub(crate) runner: Runner,
    /// Unknown where it has been forgotten since.
    pub(crate) state: Option<State>,
}

/// An operation that has just ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) state: State,
    pub(crate) terms: Arc<Terms>,
    pub(crate) run_time: Duration,
    pub(crate) runner: Option<Runner>,
}

#[derive(Debug)]
pub(crate) enum Cancellation {
    Canceled(Finished),
    AlreadyEnded,
    Unknown,
}

/// An operation as it was at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) id: OperationId,
    pub(crate) created: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) terms: Arc<Terms>,
    pub(crate) progress: Option<Report>,
    pub(crate) end: Option<Arc<End>>,
}

impl Snapshot {
    pub(crate) fn state(&self) -> State {
        self.end.as_ref().map_or(State::Running, |end| end.reply.state())
    }
}

/// How an operation ended, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) reply: Reply,
    pub(crate) at: Timestamp,
}

impl AsRef<Reply> for End {
    fn as_ref(&self) -> &Reply {
        &self.reply
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ListFilter {
    pub(crate) state: Option<State>,
    /// Only operations that come after this one in the list.
    pub(crate) after: Option<(Timestamp, OperationId)>,
}

/// A part of an owner's list.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) operations: Vec<Snapshot>,
    /// What to list after, where more follow.
    pub(crate) next: Option<(Timestamp, OperationId)>,
}

#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) expired: Vec<OperationId>,
    pub(crate) overdue: Vec<OperationId>,
    /// Whether there is more to sweep now.
    pub(crate) more: bool,
}
