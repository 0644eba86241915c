//! How runs ended, on its way to the store: kept until the store has it, so that an outage costs no reply.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tracing::{debug, error, warn};

use super::{Event, Shared};
use crate::{
    operation::{Ending, Failure, OperationId, Owner, Reply},
    run::Runner,
    store::{Attempt, Finished, StoreError, StoreFuture},
};

#[derive(Debug)]
pub(super) struct Ends {
    waiting: AtomicUsize,
    bytes: AtomicUsize,
    max_bytes: usize,
    settled: Notify,
}

impl Ends {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { waiting: AtomicUsize::new(0), bytes: AtomicUsize::new(0), max_bytes, settled: Notify::new() }
    }

    pub(super) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.waiting.load(Ordering::SeqCst) == 0 {
                return;
            }
            settled.await;
        }
    }

    fn enter(&self, bytes: usize) -> bool {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes <= self.max_bytes
    }

    fn leave(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.settled.notify_waiters();
        }
    }
}

impl Shared {
    pub(super) fn end(self: &Arc<Self>, attempt: Attempt, reply: Reply) {
        let bytes = reply.size();
        let fits = self.ends.enter(bytes);
        let reply = if fits { reply } else { lost(attempt) };
        let shared = Arc::clone(self);
        self.spawn(async move {
            let written = shared.write(attempt, Arc::new(reply)).await;
            let runner = shared.runs.remove(attempt);
            shared.tell(told(attempt.operation, written, runner));
            shared.ends.leave(bytes);
        });
    }

    /// Leaves nothing of an operation that nobody has been told of, not even its key.
    pub(super) fn withdraw(self: &Arc<Self>, attempt: Attempt, owner: Option<Owner>, doubtful: bool) {
        let _nothing_to_keep = self.ends.enter(0);
        let shared = Arc::clone(self);
        self.spawn(async move {
            let (id, owner) = (attempt.operation, owner.as_ref());
            let _in_vain = shared.until_told(id, || shared.store.cancel(id, owner)).await;
            let _in_vain = shared.until_told(id, || shared.store.forget(id, owner)).await;
            shared.runs.remove(attempt);
            if doubtful {
                shared.doubt.notify_one();
            }
            shared.ends.leave(0);
        });
    }

    async fn write(&self, attempt: Attempt, reply: Arc<Reply>) -> Result<Option<Finished>, StoreError> {
        let durable = self.runs.is_durable(attempt);
        self.until_told(attempt.operation, || self.write_once(attempt, durable, &reply)).await
    }

    /// Tells the store until it has understood.
    async fn until_told<T>(&self, id: OperationId, tell: impl Fn() -> StoreFuture<T>) -> Result<T, StoreError> {
        const LONGEST_PAUSE: Duration = Duration::from_secs(1);
        let mut pause = Duration::from_millis(20);
        loop {
            match tell().await {
                Err(StoreError::Unavailable(error)) => {
                    debug!(operation.id = %id, error = &*error as &dyn Error, "the store is away");
                }
                told => return told,
            }
            if self.closing.is_cancelled() {
                warn!(operation.id = %id, "shut down before the store could be told how an operation ended");
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

fn lost(attempt: Attempt) -> Reply {
    error!(operation.id = %attempt.operation, "too many replies wait for the store: this one is lost");
    Reply::none(Ending::Failed(Failure::Lost))
}
