//! Where operations live: the contract that every store keeps.
//!
//! # The contract
//!
//! - Each method is one intent, and atomic: of two that race, one wins and the other changes nothing (R9).
//! - An operation is created once and ends once, along the table of [`Life`]; what has ended never changes.
//! - Every write that belongs to a run names its [`Attempt`] and is refused with [`Refused`] where a later attempt or a
//!   terminal state exists.
//! - Once [`create`](Store::create) has answered, every other method knows the operation, on every replica (R2).
//! - An operation of another owner, an unknown one and an expired one are the same to whoever asks.
//! - Only the store's own clock counts: for leases, for the longest run time, for the retention.
//! - A method whose future is dropped leaves nothing half done; what it was asked for may be done all the same.
//! - A store that cannot be reached says [`StoreError::Unavailable`], never that something is unknown.
//!
//! Waiting is not the store's business. One that hears of changes made elsewhere says so to a [`Listener`], as a hint:
//! everything works without.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;

use super::StoreFuture;
use crate::{
    operation::{Failure, Key, Life, OperationId, Owner, Refused, Reply, Report, State, StoredRequest, Timestamp},
    policy::Terms,
};

/// Where operations live. See the [contract](self).
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Keeps a new operation: queued, or running as attempt 1 where a [lease](NewOperation::lease) is given or there is
    /// nothing to queue. With a [key](NewOperation::key) that is taken already, nothing is created and what is there is
    /// returned.
    ///
    /// Refused with [`Refused::LeaseOver`] where the lease is over; fails with [`StoreError::Full`] where there is no room.
    fn create(&self, operation: NewOperation) -> StoreFuture<Created>;

    /// What is known of an operation of this owner.
    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>>;

    /// Ends the attempt's operation with this reply.
    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished>;

    /// Ends an operation of this owner as canceled, whether it is queued or runs.
    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation>;

    /// Forgets an operation of this owner that has ended. `false` where there is none.
    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool>;

    /// The owner's operations, newest first, at most `limit` of them. There may be fewer although more follow.
    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed>;

    /// Keeps how far the attempt is. Of two reports the one with the higher number stays.
    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()>;

    /// Opens a lease: a replica's promise to be heard of within `length`, under which it runs operations. It brings
    /// along what it runs already: each of these attempts that is still the one that runs is held under the new lease from now on,
    /// the others are lost.
    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease>;

    /// Prolongs a lease by its length from now, and says which of these attempts, which its holder believes to run, are no longer
    /// the ones that run: canceled, ended, taken over. The others are held under this lease from now on, whichever they were held
    /// under before.
    ///
    /// Refused with [`Refused::LeaseOver`] once the lease is over, even if nobody has noticed yet.
    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>>;

    /// Ends a lease early. What still runs under it is treated as at the lease's end.
    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()>;

    /// Begins the next attempts of at most `limit` queued operations whose time has come, under this lease. Owners and
    /// routes take turns, and of each the oldest goes first.
    ///
    /// Refused with [`Refused::LeaseOver`] where the lease is over.
    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>>;

    /// The attempt has failed without a reply: the operation is queued again after the [backoff](Terms::backoff), or
    /// ends as failed where it is not durable or has no attempt left. Returns how it ended, if it did.
    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>>;

    /// The attempt is given up through no fault of its own, as by a replica that shuts down: the operation is queued
    /// again at once, and the attempt does not count. One that is not durable ends as `interrupted`.
    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>>;

    /// Does at most `limit` of each of what time has made due: forgets operations whose retention is over; ends as
    /// `timed-out` those that ran for too long; [retries](Store::retry) as `lost` the attempts whose lease is over.
    fn sweep(&self, limit: usize) -> StoreFuture<Swept>;

    /// How many operations there are in each state, and how many bytes their replies take. May lag behind by some seconds.
    fn counts(&self) -> StoreFuture<Counts>;

    /// Has the listener told of changes that others make, from now on, where the store hears of any.
    fn announce_to(&self, listener: Listener) {
        drop(listener);
    }
}

/// A run of an operation: its id and the number of the claim, which fences the run's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// The operation.
    pub operation: OperationId,
    /// 1 for the first.
    pub number: u32,
}

/// The name of a lease, unique in its store for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub i64);

/// An operation to be created.
#[derive(Debug)]
pub struct NewOperation {
    /// Its name, made at random.
    pub id: OperationId,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The terms on which it runs.
    pub terms: Arc<Terms>,
    /// What a client named it by, so that it is created once however often it is asked for.
    pub key: Option<Key>,
    /// For durable execution: what any replica needs to run it.
    pub request: Option<StoredRequest>,
    /// The lease of whoever runs it at once. Without one, it is queued if there is a request to run, and else runs in
    /// this process for as long as the store itself lives.
    pub lease: Option<LeaseId>,
}

impl NewOperation {
    /// How its life begins.
    #[must_use]
    pub fn life(&self) -> Life {
        if self.request.is_some() && self.lease.is_none() { Life::QUEUED } else { Life::RUNNING }
    }
}

/// What came of a [`Store::create`].
#[derive(Debug)]
pub enum Created {
    /// It is there now.
    New {
        /// When it was created.
        at: Timestamp,
    },
    /// The same request came under the same key before, and became this.
    Existing(Snapshot),
    /// Another request came under the same key before.
    KeyTaken,
}

/// An operation that has just ended.
#[derive(Debug)]
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
    /// What there is to say of an operation that ends with this reply.
    #[must_use]
    pub fn with(reply: &Reply, terms: Arc<Terms>, run_time: Duration, ran: bool) -> Self {
        let (state, failure, status) = (reply.state(), reply.ending().failure(), reply.status_or_none());
        Self { state, failure, status, terms, run_time, ran }
    }
}

/// What came of a [`Store::cancel`].
#[derive(Debug)]
pub enum Cancellation {
    /// It has ended by this.
    Canceled(Finished),
    /// It had ended before.
    AlreadyEnded,
    /// There is no such operation.
    Unknown,
}

/// How much of an operation to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the headers, body and trailers of its reply. A store may read more.
    Status,
    /// Everything.
    Reply,
}

/// An operation as it was at one moment.
#[derive(Clone, Debug)]
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
    /// The operation's state.
    #[must_use]
    pub fn state(&self) -> State {
        self.life.state
    }
}

/// An attempt that failed without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Its number.
    pub number: u32,
    /// Why.
    pub failure: Failure,
    /// When that was noticed.
    pub at: Timestamp,
}

/// How an operation ended, for as long as it is kept.
#[derive(Debug)]
pub struct End {
    /// Its reply; for [`Part::Status`] maybe without headers, body and trailers.
    pub reply: Reply,
    /// When.
    pub at: Timestamp,
}

impl AsRef<Reply> for End {
    fn as_ref(&self) -> &Reply {
        &self.reply
    }
}

/// Which operations to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListFilter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those that come after this one in the list.
    pub after: Option<(Timestamp, OperationId)>,
}

/// A part of an owner's list.
#[derive(Debug, Default)]
pub struct Listed {
    /// The operations, newest first. Their replies have no more than a [status](Part::Status).
    pub operations: Vec<Snapshot>,
    /// What to list after, where more may follow.
    pub next: Option<(Timestamp, OperationId)>,
}

/// A lease that was opened.
#[derive(Debug)]
pub struct OpenLease {
    /// Its name.
    pub id: LeaseId,
    /// The attempts that could not be brought along.
    pub lost: Vec<Attempt>,
}

/// An operation whose next attempt was begun.
#[derive(Debug)]
pub struct Claimed {
    /// The attempt.
    pub attempt: Attempt,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The terms on which it runs.
    pub terms: Arc<Terms>,
    /// When the operation was created.
    pub created: Timestamp,
    /// What to run.
    pub request: StoredRequest,
}

/// What a [`Store::sweep`] did.
#[derive(Debug, Default)]
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

/// Who is to be told of changes that others make. Called often, so it should be quick.
pub type Listener = Arc<dyn Fn(Change) + Send + Sync>;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// This operation: its state or its progress.
    Operation(OperationId),
    /// There is something to claim.
    Queued,
    /// Maybe anything: the store was not heard for a while.
    Anything,
}

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operation is not, or no longer, in a state for this.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no room for another operation.
    #[error("the store is full")]
    Full,
    /// The store cannot be reached, or not now. What was asked for may be done all the same.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the store holds cannot be understood, as after a return to an older release.
    #[error("the store holds what this release cannot read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store cannot do this as it is set up.
    #[error("the store does not support this: {0}")]
    Unsupported(&'static str),
}
