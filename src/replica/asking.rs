//! What the hub asks the store for: nobody waits for an answer for ever, nor falls with a store that panics.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::Replica;
#[cfg(feature = "durable")]
use crate::store::{Claimed, LeaseId};
use crate::{
    operation::{OperationId, Owner},
    store::{Cancellation, Created, ListFilter, Listed, NewOperation, Part, Snapshot, Store, StoreError, StoreFuture},
};

/// How long a look at what is small may take.
const LOOK: Duration = Duration::from_secs(2);

/// After so long it is looked whether a store that does not come up with a reply is there at all: large ones take long.
const DOUBT: Duration = Duration::from_millis(500);

/// How long a write may take, and another second for each MiB.
const WRITE: Duration = Duration::from_secs(10);

/// How long a reply may take, or a claim, which may bring many requests.
const LARGE: Duration = Duration::from_secs(60);

/// How long a store is left alone that did not answer, before it is asked again.
const RECONNECTION: Duration = Duration::from_millis(200);

/// How long it may take to create an operation.
pub(crate) fn patience(operation: &NewOperation) -> Duration {
    let size = operation.request.as_ref().map_or(0, |request| request.body.len());
    WRITE + Duration::from_secs(size as u64 >> 20)
}

impl Replica {
    pub(crate) fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        bounded(patience(&operation), || self.store().create(operation))
    }

    /// The same, for an operation that others may know by its key: they would find it there, and nobody would run it,
    /// if the answer alone was lost. So it is asked for again, within the same time: what is found then under its key
    /// and its id has come of the first time.
    pub(crate) async fn create_keyed(&self, operation: NewOperation) -> Result<Created, StoreError> {
        let (id, life, half) = (operation.id, operation.life(), patience(&operation) / 2);
        let first = bounded(half, || self.store().create(operation.clone())).await;
        if !matches!(first, Err(StoreError::Unavailable(_))) {
            return first;
        }
        sleep(RECONNECTION).await;
        match bounded(half.saturating_sub(RECONNECTION), || self.store().create(operation)).await {
            Ok(Created::Existing(found)) if found.id == id && found.life == life => {
                Ok(Created::New { at: found.created })
            }
            Ok(created) => Ok(created),
            Err(_) => first,
        }
    }

    pub(crate) fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        match part {
            Part::Status => bounded(LOOK, || self.store().read(id, owner, part)),
            Part::Reply => match begun(|| self.store().read(id, owner, part)) {
                Ok(answer) => StoreFuture::ready(answer),
                Err(reading) => StoreFuture::pending(reply(Arc::clone(self.store()), id, owner.cloned(), reading)),
            },
        }
    }

    pub(crate) fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        bounded(LOOK, || self.store().list(owner, filter, limit))
    }

    pub(crate) fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        bounded(WRITE, || self.store().cancel(id, owner))
    }

    pub(crate) fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        bounded(WRITE, || self.store().forget(id, owner))
    }

    #[cfg(feature = "durable")]
    pub(crate) fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        bounded(LARGE, || self.store().claim(lease, limit))
    }
}

async fn reply(
    store: Arc<dyn Store>,
    id: OperationId,
    owner: Option<Owner>,
    mut reading: Guarded<Option<Snapshot>>,
) -> Result<Option<Snapshot>, StoreError> {
    if let Ok(read) = timeout(DOUBT, &mut reading).await {
        return read;
    }
    bounded(LOOK, || store.read(id, owner.as_ref(), Part::Status)).await?;
    within(LARGE, reading).await
}

/// The store's answer, or that it cannot be reached where there is none by then, or it panics.
pub(super) fn bounded<T: Send + 'static>(patience: Duration, ask: impl FnOnce() -> StoreFuture<T>) -> StoreFuture<T> {
    match begun(ask) {
        Ok(answer) => StoreFuture::ready(answer),
        Err(pending) => StoreFuture::pending(within(patience, pending)),
    }
}

async fn within<T>(patience: Duration, asked: Guarded<T>) -> Result<T, StoreError> {
    timeout(patience, asked).await.unwrap_or_else(|late| Err(StoreError::Unavailable(late.into())))
}

/// The answer if it is there at once, and else what is to be awaited.
fn begun<T>(ask: impl FnOnce() -> StoreFuture<T>) -> Result<Result<T, StoreError>, Guarded<T>> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(asked) => asked.now().map_err(Guarded),
        Err(panic) => Ok(Err(Panicked::with(&*panic).into())),
    }
}

/// An answer on its way from a store that may panic.
struct Guarded<T>(StoreFuture<T>);

impl<T> Future for Guarded<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(Panicked::with(&*panic).into())))
    }
}

/// The store has panicked.
#[derive(Debug, thiserror::Error)]
#[error("the store has panicked: {0}")]
pub(super) struct Panicked(String);

impl Panicked {
    fn with(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Self(text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default())
    }

    /// Whether this is why there is no answer.
    pub(super) fn is_cause(error: &StoreError) -> bool {
        matches!(error, StoreError::Unavailable(cause) if cause.is::<Self>())
    }
}

impl From<Panicked> for StoreError {
    fn from(panicked: Panicked) -> Self {
        Self::Unavailable(Box::new(panicked))
    }
}
