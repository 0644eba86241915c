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
//! - What this release cannot read, as of a later one, spoils nothing else: it is left as it is, and left out of what
//!   concerns many.
//!
//! Waiting is not the store's business. One that hears of changes made elsewhere says so to a [`Listener`], as a hint:
//! everything works without.

mod change;
mod creation;
mod ended;
mod error;
mod run;
mod snapshot;

use std::{fmt, sync::Arc, time::Duration};

pub use change::{Change, Listener};
pub use creation::{Created, NewOperation};
pub use ended::{Cancellation, Finished, Swept};
pub use error::StoreError;
pub use run::{Attempt, Claimed, LeaseId, OpenLease};
pub use snapshot::{Counts, End, FailedAttempt, ListFilter, Listed, Part, Snapshot};

use super::StoreFuture;
use crate::operation::{Failure, OperationId, Owner, Reply, Report};
#[cfg(doc)]
use crate::{
    operation::{Life, Refused},
    policy::Terms,
};

/// Where operations live. See the [contract](self).
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Keeps a new operation: queued, or running as attempt 1 where a [lease](NewOperation::lease) is given or there is
    /// nothing to queue. With a [key](NewOperation::key) that is taken already, nothing is created and what is there is
    /// returned, whatever the lease and the room: so [`LeaseId::NONE`] is how to look a key up.
    ///
    /// Refused with [`Refused::LeaseOver`] where the lease is over; fails with [`StoreError::Full`] where there is no
    /// room.
    fn create(&self, operation: NewOperation) -> StoreFuture<Created>;

    /// What is known of an operation of this owner.
    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>>;

    /// Ends the attempt's operation with this reply: as it is, since those who wait for it here are given it without a
    /// look into the store, or else with what [`Finished`] says.
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
    /// along what it runs already: each of these attempts that is still the one that runs is held under the new lease
    /// from now on, the others are lost. Nothing is changed for those, which may yet be created.
    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease>;

    /// Prolongs a lease by its length from now, and says which of these attempts, which its holder believes to run, are
    /// no longer the ones that run: canceled, ended, taken over. The others are held under this lease from now on,
    /// whichever they were held under before.
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
    /// `timed-out` those that ran for too long; [retries](Store::retry) as `lost` the attempts whose lease is over. A
    /// lease counts as over only if it was so when the sweep was asked for: while that waited, as for a lock, a renewal
    /// may have waited as well.
    fn sweep(&self, limit: usize) -> StoreFuture<Swept>;

    /// How many operations there are in each state, and how many bytes their replies take. May lag behind by some
    /// seconds.
    fn counts(&self) -> StoreFuture<Counts>;

    /// Has the listener told of changes that others make, where the store hears of any: from now on, and for as long as
    /// the caller keeps the listener. To tell it longer does no harm.
    fn announce_to(&self, listener: Listener) {
        drop(listener);
    }
}
