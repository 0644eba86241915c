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

use super::{Durability, Event, Shared, asking::Panicked};
use crate::{
    operation::{Ending, Failure, OperationId, Reply},
    run::Runner,
    store::{Attempt, Finished, StoreError, StoreFuture},
    telemetry::quietly,
};

/// So often a store may panic when it is told something before it is told something else.
const PANICS: usize = 3;

/// How long the store is left alone before it is told, or asked, again: at first, and at most.
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

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
            let mut reply = Arc::new(reply);
            let written = shared.write(attempt, &mut reply).await;
            let runner = shared.runs.remove(attempt);
            if has_failed(&written) {
                // The store goes by the lease then.
                shared.doubt.notify_one();
            }
            shared.tell(told(attempt.operation, written, reply, runner));
        });
    }

    /// Once the store is not there to take it at once, a reply waits for it as long as there is room. It gives way to
    /// what is written in its place.
    async fn write(&self, attempt: Attempt, reply: &mut Arc<Reply>) -> Result<Option<Finished>, StoreError> {
        let (id, durability) = (attempt.operation, self.runs.durability(attempt));
        let mut written = self.ask(|| self.write_once(attempt, durability, reply)).await;
        if will_pass(&written) {
            let held = self.ends.hold(reply.size());
            if held.is_none() {
                *reply = Arc::new(thrown_away(attempt, durability));
            }
            written = self.until_told(id, || self.write_once(attempt, durability, reply)).await;
        }
        match written {
            Err(StoreError::Refused(_)) | Ok(_) => written,
            Err(error) => {
                quietly(|| {
                    let error = &error as &dyn Error;
                    error!(operation.id = %id, error, "the end of an operation was not stored: it is lost");
                });
                *reply = Arc::new(Reply::none(Ending::Failed(Failure::Lost)));
                self.until_told(id, || self.store.finish(attempt, Arc::clone(reply)).map(Some)).await
            }
        }
    }

    /// Tells the store until it has understood.
    pub(super) async fn until_told<T>(
        &self,
        id: OperationId,
        tell: impl Fn() -> StoreFuture<T>,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        let (mut pause, mut panics) = (PAUSE.0, 0);
        loop {
            let told = self.ask(&tell).await;
            panics += usize::from(told.as_ref().is_err_and(Panicked::is_cause));
            if !will_pass(&told) || panics == PANICS {
                return told;
            }
            if let Err(error) = told {
                quietly(|| debug!(operation.id = %id, error = &error as &dyn Error, "the store is away, or full"));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn write_once(
        &self,
        attempt: Attempt,
        durability: Durability,
        reply: &Arc<Reply>,
    ) -> StoreFuture<Option<Finished>> {
        match reply.ending() {
            Ending::Failed(Failure::Interrupted) => self.store.hand_back(attempt),
            Ending::Failed(failure @ (Failure::Panicked | Failure::ServiceError))
                if durability == (Durability::Durable { is_retried: true }) =>
            {
                self.store.retry(attempt, failure)
            }
            _ => self.store.finish(attempt, Arc::clone(reply)).map(Some),
        }
    }
}

fn told(
    id: OperationId,
    written: Result<Option<Finished>, StoreError>,
    reply: Arc<Reply>,
    runner: Option<Runner>,
) -> Event {
    if let Ok(Some(finished)) = written {
        // The store may have had no room for it.
        let reply = Some(reply).filter(|reply| finished.is_with(reply));
        return Event::Ended { id, finished, reply, runner };
    }
    if let Some(runner) = runner {
        runner.ended(None);
    }
    quietly(|| match &written {
        Ok(_) => {}
        // It has ended otherwise, or runs elsewhere.
        Err(StoreError::Refused(refused)) => debug!(operation.id = %id, %refused, "an end came too late"),
        Err(error) => error!(operation.id = %id, error = error as &dyn Error, "the end of an operation was not stored"),
    });
    Event::Changed(id)
}

/// Whether the store may have it still, though it was not refused.
pub(super) fn has_failed<T>(told: &Result<T, StoreError>) -> bool {
    matches!(told, Err(error) if !matches!(error, StoreError::Refused(_)))
}

/// Whether the store may well do it another time.
fn will_pass<T>(told: &Result<T, StoreError>) -> bool {
    matches!(told, Err(StoreError::Unavailable(_) | StoreError::Full))
}

/// What is left of a reply that nothing can hold: what may run again does.
fn thrown_away(attempt: Attempt, durability: Durability) -> Reply {
    let id = attempt.operation;
    quietly(|| error!(operation.id = %id, ?durability, "too many replies wait for the store: this one is thrown away"));
    Reply::none(Ending::Failed(match durability {
        Durability::Durable { .. } => Failure::Interrupted,
        Durability::Detached => Failure::Lost,
    }))
}
