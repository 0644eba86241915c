//! How runs ended, on its way to the store: kept until the store has it, so that an outage costs no reply.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use tracing::{debug, error};

use super::{Event, Shared};
use crate::{
    operation::{Ending, Failure, OperationId, Owner, Reply},
    run::Runner,
    store::{Attempt, Finished, StoreError, StoreFuture},
};

#[derive(Debug)]
pub(super) struct Ends {
    /// What the replies take that the store could not take at once.
    bytes: AtomicUsize,
    max_bytes: usize,
}

impl Ends {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), max_bytes }
    }

    /// Room for a reply, until this is dropped.
    fn hold(&self, bytes: usize) -> Option<Held<'_>> {
        let fitting = |held: usize| held.checked_add(bytes).filter(|sum| bytes == 0 || *sum <= self.max_bytes);
        self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fitting).ok()?;
        Some(Held { bytes, ends: self })
    }
}

struct Held<'a> {
    bytes: usize,
    ends: &'a Ends,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.ends.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Shared {
    pub(super) fn end(self: &Arc<Self>, attempt: Attempt, reply: Reply) {
        let shared = Arc::clone(self);
        self.spawn(async move {
            let written = shared.write(attempt, Arc::new(reply)).await;
            let runner = shared.runs.remove(attempt);
            if let Err(error) = &written
                && !matches!(error, StoreError::Refused(_))
            {
                // The store goes by the lease then.
                shared.doubt.notify_one();
            }
            shared.tell(told(attempt.operation, written, runner));
        });
    }

    /// Leaves nothing of an operation that nobody has been told of, not even its key.
    pub(super) fn withdraw(self: &Arc<Self>, attempt: Attempt, owner: Option<Owner>, doubtful: bool) {
        let shared = Arc::clone(self);
        self.spawn(async move {
            let (id, owner) = (attempt.operation, owner.as_ref());
            let _in_vain = shared.until_told(id, || shared.store.cancel(id, owner)).await;
            let _in_vain = shared.until_told(id, || shared.store.forget(id, owner)).await;
            shared.runs.remove(attempt);
            if doubtful {
                shared.doubt.notify_one();
            }
        });
    }

    /// Once the store is not there to take it at once, a reply waits for it as long as there is room.
    async fn write(&self, attempt: Attempt, mut reply: Arc<Reply>) -> Result<Option<Finished>, StoreError> {
        let (id, durable) = (attempt.operation, self.runs.is_durable(attempt));
        let mut written = self.ask(self.write_once(attempt, durable, &reply)).await;
        if will_pass(&written) {
            let held = self.ends.hold(reply.size());
            if held.is_none() {
                reply = Arc::new(thrown_away(attempt, durable));
            }
            written = self.until_told(id, || self.write_once(attempt, durable, &reply)).await;
        }
        match written {
            Err(StoreError::Refused(_)) | Ok(_) => written,
            Err(error) => {
                error!(operation.id = %id, error = &error as &dyn Error, "the end of an operation was not stored: it is lost");
                let lost = Arc::new(Reply::none(Ending::Failed(Failure::Lost)));
                self.until_told(id, || self.store.finish(attempt, Arc::clone(&lost)).map(Some)).await
            }
        }
    }

    /// Tells the store until it has understood.
    async fn until_told<T>(&self, id: OperationId, tell: impl Fn() -> StoreFuture<T>) -> Result<T, StoreError> {
        const LONGEST_PAUSE: Duration = Duration::from_secs(1);
        let mut pause = Duration::from_millis(20);
        loop {
            let told = self.ask(tell()).await;
            if !will_pass(&told) {
                return told;
            }
            if let Err(error) = told {
                debug!(operation.id = %id, error = &error as &dyn Error, "the store is away, or full");
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn write_once(&self, attempt: Attempt, durable: bool, reply: &Arc<Reply>) -> StoreFuture<Option<Finished>> {
        match reply.ending() {
            Ending::Failed(Failure::Interrupted) => self.store.hand_back(attempt),
            Ending::Failed(failure @ (Failure::Panicked | Failure::ServiceError)) if durable => {
                self.store.retry(attempt, failure)
            }
            _ => self.store.finish(attempt, Arc::clone(reply)).map(Some),
        }
    }
}

fn told(id: OperationId, written: Result<Option<Finished>, StoreError>, runner: Option<Runner>) -> Event {
    match written {
        Ok(Some(finished)) => return Event::Ended { id, finished, runner },
        Ok(None) => {}
        // It has ended otherwise, or runs elsewhere.
        Err(StoreError::Refused(refused)) => debug!(operation.id = %id, %refused, "an end came too late"),
        Err(error) => {
            error!(operation.id = %id, error = &error as &dyn Error, "the end of an operation was not stored")
        }
    }
    if let Some(runner) = runner {
        runner.ended(None);
    }
    Event::Changed(id)
}

/// Whether the store may well do it another time.
fn will_pass<T>(told: &Result<T, StoreError>) -> bool {
    matches!(told, Err(StoreError::Unavailable(_) | StoreError::Full))
}

/// What is left of a reply that nothing can hold: what may run again does.
fn thrown_away(attempt: Attempt, durable: bool) -> Reply {
    error!(operation.id = %attempt.operation, durable, "too many replies wait for the store: this one is thrown away");
    Reply::none(Ending::Failed(if durable { Failure::Interrupted } else { Failure::Lost }))
}
