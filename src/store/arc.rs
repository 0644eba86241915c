//! A store that several share.

use std::{sync::Arc, time::Duration};

use super::{
    Attempt, Cancellation, Claimed, Counts, Created, Failure, Finished, LeaseId, ListFilter, Listed, Listener,
    NewOperation, OpenLease, Part, Reply, Report, Snapshot, Store, StoreFuture, Swept,
};
use crate::operation::{OperationId, Owner};

impl<S: Store + ?Sized> Store for Arc<S> {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        (**self).create(operation)
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        (**self).read(id, owner, part)
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        (**self).finish(attempt, reply)
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        (**self).cancel(id, owner)
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        (**self).forget(id, owner)
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        (**self).list(owner, filter, limit)
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        (**self).report(attempt, report)
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        (**self).open_lease(length, running)
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        (**self).renew(lease, running)
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        (**self).close_lease(lease)
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        (**self).claim(lease, limit)
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        (**self).retry(attempt, failure)
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        (**self).hand_back(attempt)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        (**self).sweep(limit)
    }

    fn counts(&self) -> StoreFuture<Counts> {
        (**self).counts()
    }

    fn announce_to(&self, listener: Listener) {
        (**self).announce_to(listener);
    }
}
