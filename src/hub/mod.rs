//! What the layer and the monitor share: one hub for all operations of an application.

mod address;
mod background;
mod clock;
mod deadlines;
mod document;
mod handle;
mod permits;
mod settings;
mod shutdown;
mod sweeper;
mod watchers;
mod wheel;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

pub(crate) use address::{Address, Place, value as address_value};
pub(crate) use clock::Clock;
pub(crate) use deadlines::Deadlines;
pub(crate) use document::{Document, absence};
pub use handle::OperationHandle;
pub(crate) use handle::{PROGRESS_PERIOD, Runner};
pub(crate) use permits::Permit;
pub(crate) use settings::{OwnerOf, Settings};
pub use shutdown::Drained;
pub(crate) use watchers::{Watch, Watchers};
pub(crate) use wheel::Deadline;

use crate::{
    operation::{Ending, Failure, OperationId, Owner, Reply, State, Timestamp},
    policy::Limit,
    store::{Cancellation, Finished, Full, NewOperation, Store, TooLate},
    telemetry,
};

pub(crate) struct Hub {
    pub(crate) settings: Settings,
    pub(crate) store: Box<dyn Store>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) deadlines: Arc<Deadlines>,
    permits: permits::Permits,
    tasks: background::Tasks,
    sweeping: AtomicBool,
}

/// Why a request cannot be detached just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declined {
    Limit(Limit),
    ShuttingDown,
    /// There is no runtime to run it.
    NoRuntime,
}

impl Hub {
    pub(crate) fn new(settings: Settings, store: Box<dyn Store>) -> Arc<Self> {
        let tasks = background::Tasks::default();
        Arc::new(Self {
            permits: permits::Permits::new(settings.max_operations, settings.max_operations_per_owner),
            settings,
            store,
            watchers: Arc::default(),
            deadlines: Arc::new(Deadlines::new(tasks.clone())),
            tasks,
            sweeping: AtomicBool::new(false),
        })
    }

    /// Whether an operation could be accepted now, as far as that can be said without its owner and its terms.
    pub(crate) fn is_open(&self) -> bool {
        !self.tasks.is_draining()
    }

    /// Accepts an operation: takes its permit and creates it in the store. It is to be started at once.
    pub(crate) fn accept(self: &Arc<Self>, operation: NewOperation) -> Result<(Permit, Timestamp), Declined> {
        if !self.is_open() {
            return Err(Declined::ShuttingDown);
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Declined::NoRuntime);
        }
        let permit = self.permits.acquire(operation.owner.as_ref()).map_err(Declined::Limit)?;
        match self.create(operation) {
            Ok(created) => {
                self.keep_sweeping();
                telemetry::in_flight(1);
                Ok((permit, created))
            }
            Err(declined) => {
                self.permits.release(permit);
                Err(declined)
            }
        }
    }

    fn create(&self, operation: NewOperation) -> Result<Timestamp, Declined> {
        // Looked at again, now that a shutdown that begins would wait for the permit.
        match self.is_open() {
            true => self.store.create(operation).map_err(|Full| Declined::Limit(Limit::KeptReplies)),
            false => Err(Declined::ShuttingDown),
        }
    }

    /// Starts the task that runs an accepted operation.
    pub(crate) fn start<T>(&self, id: OperationId, handle: Option<OperationHandle>, task: T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let runner = Runner::new(self.tasks.spawn(task), handle);
        if let Err(TooLate { runner, state }) = self.store.attach(id, runner) {
            // It ended before it could be said who runs it. Where that was on demand, its task is still to be stopped.
            runner.ended(state);
            runner.abort();
        }
    }

    /// Ends an operation with this reply, unless it has ended already.
    pub(crate) fn finish(&self, id: OperationId, reply: Reply) {
        if let Some(finished) = self.store.finish(id, reply) {
            self.announce(id, &finished);
        }
    }

    /// Ends an operation that its task can no longer end, and stops the task.
    pub(crate) fn end(&self, id: OperationId, failure: Failure) {
        if let Some(finished) = self.store.finish(id, Reply::none(Ending::Failed(failure))) {
            self.announce(id, &finished);
            finished.abort();
        }
    }

    /// Ends an operation on demand, and stops its task.
    pub(crate) fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> Cancellation {
        let cancellation = self.store.cancel(id, owner);
        if let Cancellation::Canceled(finished) = &cancellation {
            self.announce(id, finished);
            finished.abort();
        }
        cancellation
    }

    /// Nothing of the operation runs any more.
    pub(crate) fn stopped(&self, id: OperationId, permit: Permit) {
        self.permits.release(permit);
        telemetry::in_flight(-1);
        self.watchers.stopped(id);
    }

    fn announce(&self, id: OperationId, finished: &Finished) {
        if finished.state != State::Canceled {
            finished.terms.history.record(finished.run_time);
        }
        if let Some(runner) = &finished.runner {
            runner.ended(Some(finished.state));
        }
        telemetry::finished(id, finished, self.store.kept_bytes());
        self.watchers.changed(id);
    }
}

impl Finished {
    fn abort(&self) {
        if let Some(runner) = &self.runner {
            runner.abort();
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hub").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.tasks.close();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
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
        };
        let limits = MemoryLimits { operations: 10, bytes: 1_000 };
        Hub::new(settings, Box::new(MemoryStore::new(limits, Clock::new())))
    }

    fn accept(hub: &Arc<Hub>, id: OperationId) -> Permit {
        let terms = Arc::new(Terms::new("default".into(), Policy::new()));
        hub.accept(NewOperation { id, owner: None, terms }).unwrap().0
    }

    #[tokio::test]
    async fn r9_what_ends_before_its_task_is_known_is_stopped_and_told_so() {
        for (forgotten, state) in [(false, State::Canceled), (true, State::Running)] {
            let hub = hub();
            let handle = OperationHandle::new(Arc::clone(&hub.watchers));
            let permit = accept(&hub, handle.id());
            assert!(matches!(hub.cancel(handle.id(), None), Cancellation::Canceled(_)));
            assert!(!forgotten || hub.store.forget(handle.id(), None));
            let (alive, dropped) = oneshot::channel::<()>();
            hub.start(handle.id(), Some(handle.clone()), async move {
                let _alive = alive;
                std::future::pending().await
            });
            dropped.await.unwrap_err();
            assert!(handle.is_canceled());
            assert_eq!(handle.state(), state);
            hub.stopped(handle.id(), permit);
        }
    }

    #[tokio::test]
    async fn r12_nothing_is_accepted_once_a_shutdown_has_begun_and_no_permit_is_lost() {
        let hub = hub();
        hub.tasks.drain();
        let terms = Arc::new(Terms::new("default".into(), Policy::new()));
        let operation = || NewOperation { id: OperationId::random(), owner: None, terms: Arc::clone(&terms) };
        assert_eq!(hub.create(operation()), Err(Declined::ShuttingDown));
        assert_eq!(hub.accept(operation()).unwrap_err(), Declined::ShuttingDown);
        assert_eq!(hub.running(), 0);
    }
}
