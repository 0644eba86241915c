//! How a request becomes an operation: a permit, a place in the store, a task.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{runtime::Handle, sync::oneshot};

use super::{Admission, Hub, Operations, Permit};
use crate::{
    operation::{OperationId, Timestamp},
    policy::Limit,
    run::{OperationHandle, Runner},
    store::{Attempt, NewOperation, Snapshot, StoreError, TooLate},
    telemetry,
};

/// What came of an attempt to accept an operation: known already, or to be waited for.
pub(crate) enum Acceptance {
    Now(Result<Accepted, Declined>),
    Later(Accepting),
}

/// An operation that is being created. Dropping this takes it back, unless it has a key by which others may know it.
#[derive(Debug)]
pub(crate) struct Accepting(pub(super) oneshot::Receiver<Result<Accepted, Declined>>);

/// What became of a request that was to be an operation.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// It is to be started at once.
    Run(Admission),
    /// It waits for whoever has room for it.
    Queued { id: OperationId, created: Timestamp },
    /// It came before, and became this.
    Existing(Box<Snapshot>),
    /// Another came before under the same key.
    KeyTaken,
}

/// Why a request cannot be detached just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declined {
    Limit(Limit),
    ShuttingDown,
    /// There is no runtime to run it, or none with timers.
    NoRuntime,
    /// The store cannot be reached.
    StoreUnavailable,
}

impl Hub {
    /// Whether an operation could be accepted now, as far as that can be said without its owner and its terms.
    pub(crate) fn is_open(&self) -> bool {
        !self.tasks.is_draining()
    }

    /// Accepts an operation: takes its permit and creates it in the store.
    pub(crate) fn accept(self: &Arc<Self>, operation: NewOperation) -> Acceptance {
        let permit = match self.admit(&operation) {
            Ok(permit) => permit,
            Err(declined) if operation.key.is_some() => return self.recall(operation, declined),
            Err(declined) => return Acceptance::Now(Err(declined)),
        };
        match &self.operations {
            Operations::Here(_) => Acceptance::Now(self.create(operation, permit)),
            Operations::Shared(_) => Acceptance::Later(self.create_shared(operation, Some(permit))),
        }
    }

    /// The same for an operation that need not run here: where there is no room for it, it is queued.
    pub(crate) fn accept_or_queue(self: &Arc<Self>, operation: NewOperation) -> Acceptance {
        match &self.operations {
            Operations::Shared(_) if operation.request.is_some() && self.is_open() && Handle::try_current().is_ok() => {
                let permit = if self.settings.only_accepts { None } else { self.admit(&operation).ok() };
                Acceptance::Later(self.create_shared(operation, permit))
            }
            _ => self.accept(operation),
        }
    }

    /// Whether a durable operation of this owner would be started here rather than queued.
    pub(crate) fn has_room(&self) -> bool {
        !self.settings.only_accepts && self.permits.has_room()
    }

    fn admit(&self, operation: &NewOperation) -> Result<Permit, Declined> {
        if !self.is_open() {
            return Err(Declined::ShuttingDown);
        }
        if Handle::try_current().is_err() || !self.can_sweep() {
            return Err(Declined::NoRuntime);
        }
        let permit = self.permits.acquire(operation.owner.as_ref()).map_err(Declined::Limit)?;
        // Looked at again, now that a shutdown that begins would wait for the permit.
        match self.is_open() {
            true => Ok(permit),
            false => {
                self.permits.release(permit);
                Err(Declined::ShuttingDown)
            }
        }
    }

    /// Has this run until it ends, or the application shuts down.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.tasks.can_spawn() {
            self.tasks.spawn(task);
        }
    }

    /// Starts the task that runs an accepted operation.
    pub(crate) fn start<T>(&self, attempt: Attempt, handle: Option<OperationHandle>, task: T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let runner = Runner::new(self.tasks.spawn(task), handle);
        let attached = match &self.operations {
            Operations::Here(store) => store.attach(attempt.operation, runner),
            Operations::Shared(replica) => replica.attach(attempt, runner),
        };
        if let Err(TooLate { runner, state }) = attached {
            // It ended before it could be said who runs it. Where that was on demand, its task is still to be stopped.
            runner.ended(state);
            runner.abort();
        }
    }

    /// Nothing of the attempt runs any more.
    pub(crate) fn stopped(&self, attempt: Attempt, permit: Permit) {
        self.permits.release(permit);
        telemetry::quietly(|| telemetry::in_flight(-1));
        self.watchers.stopped(attempt.operation, attempt.number);
    }
}

impl From<StoreError> for Declined {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Limit(Limit::KeptReplies),
            _ => Self::StoreUnavailable,
        }
    }
}

impl Future for Accepting {
    type Output = Result<Accepted, Declined>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Not answered where the runtime shuts down.
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Declined::ShuttingDown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hub::{Cancel, Settings},
        operation::State,
        policy::{Policy, Terms},
        store::{MemoryLimits, MemoryStore},
    };

    fn hub() -> Arc<Hub> {
        let settings = Settings {
            base_path: "/operations".into(),
            public_url: None,
            trust_forwarded: false,
            owner_of: None,
            max_operations: 10,
            max_operations_per_owner: 10,
            only_accepts: false,
        };
        let limits = MemoryLimits { operations: 10, bytes: 1_000 };
        Hub::new(settings, MemoryStore::of_one_hub(limits))
    }

    fn operation(id: OperationId) -> NewOperation {
        let terms = Arc::new(Terms::new("default".into(), Policy::new()));
        NewOperation { id, owner: None, terms, key: None, request: None, lease: None }
    }

    fn accept(hub: &Arc<Hub>, id: OperationId) -> Result<Admission, Declined> {
        match hub.accept(operation(id)) {
            Acceptance::Now(Ok(Accepted::Run(admission))) => Ok(admission),
            Acceptance::Now(Err(declined)) => Err(declined),
            _ => panic!("not accepted at once"),
        }
    }

    #[tokio::test]
    async fn r9_what_ends_before_its_task_is_known_is_stopped_and_told_so() {
        for (forgotten, state) in [(false, State::Canceled), (true, State::Running)] {
            let hub = hub();
            let handle = OperationHandle::new(Arc::clone(&hub.watchers));
            let admission = accept(&hub, handle.id()).unwrap();
            let (attempt, permit) = (admission.attempt, admission.begin());
            assert_eq!(hub.cancel(handle.id(), None).await.unwrap(), Cancel::Stopping { attempt: 1 });
            assert!(!forgotten || hub.forget(handle.id(), None).await.unwrap());
            let (alive, dropped) = oneshot::channel::<()>();
            hub.start(attempt, Some(handle.clone()), async move {
                let _alive = alive;
                std::future::pending().await
            });
            dropped.await.unwrap_err();
            assert!(handle.is_canceled());
            assert_eq!(handle.state(), state);
            hub.stopped(attempt, permit);
        }
    }

    #[tokio::test]
    async fn r12_nothing_is_accepted_once_a_shutdown_has_begun_and_no_permit_is_lost() {
        let hub = hub();
        hub.tasks.drain();
        assert_eq!(accept(&hub, OperationId::random()).unwrap_err(), Declined::ShuttingDown);
        assert_eq!(hub.running(), 0);
    }
}
