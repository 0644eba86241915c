//! The store as those use it who share it.

use std::{sync::Arc, time::Duration};

use super::{Canceled, Ended, MemoryStore};
use crate::{
    operation::{Failure, OperationId, Owner, Refused, Reply, Report, State},
    store::{
        Attempt, Cancellation, Change, Claimed, Counts, Created, Finished, LeaseId, ListFilter, Listed, Listener,
        NewOperation, OpenLease, Part, Snapshot, Store, StoreError, StoreFuture, Swept,
    },
};

impl Store for MemoryStore {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        let is_queued = operation.life().state == State::Queued;
        let created = self.create(operation);
        if is_queued && matches!(created, Ok(Created::New { .. })) {
            self.extended.listeners.tell(Change::Queued);
        }
        StoreFuture::ready(created)
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, _: Part) -> StoreFuture<Option<Snapshot>> {
        StoreFuture::ready(Ok(self.read(id, owner)))
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        self.told(attempt, self.finish_attempt(attempt, Arc::unwrap_or_clone(reply)))
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        StoreFuture::ready(Ok(match self.cancel(id, owner) {
            Canceled::Now(Ended { finished, .. }) => {
                self.extended.listeners.tell(Change::Operation(id));
                Cancellation::Canceled(finished)
            }
            Canceled::AlreadyEnded => Cancellation::AlreadyEnded,
            Canceled::Unknown => Cancellation::Unknown,
        }))
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        StoreFuture::ready(Ok(self.forget(id, owner)))
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        StoreFuture::ready(Ok(self.list(owner, filter, limit)))
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.told(attempt, self.report(attempt, report))
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        StoreFuture::ready(Ok(self.open_lease(length, running)))
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        StoreFuture::ready(self.renew(lease, running).map_err(StoreError::from))
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.extended.leases.close(lease);
        StoreFuture::ready(Ok(()))
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        let claimed = self.claim(lease, limit);
        for claimed in claimed.iter().flatten() {
            self.extended.listeners.tell(Change::Operation(claimed.attempt.operation));
        }
        StoreFuture::ready(claimed.map_err(StoreError::from))
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.told_if_queued(attempt, self.retry(attempt, failure))
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.told_if_queued(attempt, self.hand_back(attempt))
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        let swept = self.sweep_all(limit);
        for id in swept.ended.iter().map(|(id, _)| id).chain(&swept.queued) {
            self.extended.listeners.tell(Change::Operation(*id));
        }
        if !swept.queued.is_empty() {
            self.extended.listeners.tell(Change::Queued);
        }
        StoreFuture::ready(Ok(swept))
    }

    fn counts(&self) -> StoreFuture<Counts> {
        StoreFuture::ready(Ok(self.counts()))
    }

    fn announce_to(&self, listener: Listener) {
        self.extended.listeners.add(&listener);
    }
}

impl MemoryStore {
    fn told<T>(&self, attempt: Attempt, done: Result<T, Refused>) -> StoreFuture<T> {
        if done.is_ok() {
            self.extended.listeners.tell(Change::Operation(attempt.operation));
        }
        StoreFuture::ready(done.map_err(StoreError::from))
    }

    fn told_if_queued(
        &self,
        attempt: Attempt,
        done: Result<Option<Finished>, Refused>,
    ) -> StoreFuture<Option<Finished>> {
        if matches!(done, Ok(None)) {
            self.extended.listeners.tell(Change::Queued);
        }
        self.told(attempt, done)
    }

    /// Counted anew each time, some thousand operations in a few microseconds, so that nobody else has to count.
    fn counts(&self) -> Counts {
        let (now, mut counts) = (self.clock.now(), Counts::default());
        for record in self.operations.iter().filter(|record| !record.is_expired(now)) {
            *match record.life().state {
                State::Queued => &mut counts.queued,
                State::Running => &mut counts.running,
                State::Succeeded => &mut counts.succeeded,
                State::Failed => &mut counts.failed,
                State::Canceled => &mut counts.canceled,
            } += 1;
            counts.reply_bytes += record.reply_size() as u64;
        }
        counts
    }
}
