//! What the layer and the monitor share: one hub for all operations of an application.

mod acceptance;
mod address;
mod admission;
mod background;
#[cfg(feature = "durable")]
mod claiming;
mod creation;
pub(crate) mod cursor;
mod deadlines;
mod document;
mod ending;
mod permits;
mod reading;
mod settings;
mod shutdown;
mod sweeper;
mod wheel;

use std::{
    fmt, io,
    sync::{Arc, OnceLock, Weak, atomic::AtomicBool},
};

use dashmap::DashMap;

pub(crate) use acceptance::{Acceptance, Accepted, Accepting, Declined};
pub(crate) use address::{Address, Place, value as address_value};
pub(crate) use admission::Admission;
pub(crate) use deadlines::Deadlines;
#[cfg(feature = "grpc")]
pub(crate) use deadlines::LATENESS;
pub(crate) use document::{Document, absence};
pub(crate) use ending::Cancel;
pub(crate) use permits::Permit;
pub(crate) use settings::{OwnerOf, Settings};
pub use shutdown::Drained;
pub(crate) use wheel::Deadline;

use crate::{
    http::retry_after::History,
    policy::Terms,
    replica::{Observer, Replica, ReplicaSettings},
    run::Watchers,
    store::{MemoryStore, Store},
};

pub(crate) struct Hub {
    pub(crate) settings: Settings,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) deadlines: Arc<Deadlines>,
    pub(crate) operations: Operations,
    permits: permits::Permits,
    tasks: background::Tasks,
    sweeping: AtomicBool,
    /// How long the operations of each route take, for those that come out of a shared store.
    histories: DashMap<Arc<str>, Arc<History>>,
}

/// Where the operations live.
#[derive(Debug)]
pub(crate) enum Operations {
    /// In this process, and as long as it does.
    Here(MemoryStore),
    /// In a store that outlives it.
    Shared(Replica),
}

impl Hub {
    /// A hub of operations that live in this process.
    pub(crate) fn new(settings: Settings, store: MemoryStore) -> Arc<Self> {
        Arc::new(Self::of(settings, Operations::Here(store)))
    }

    /// A hub of operations that live in a store outside this process.
    pub(crate) fn shared(settings: Settings, store: Arc<dyn Store>, replica: ReplicaSettings) -> io::Result<Arc<Self>> {
        let place = Arc::new(OnceLock::<Weak<Self>>::new());
        let observer = {
            let place = Arc::clone(&place);
            Arc::new(move |event| {
                if let Some(hub) = place.get().and_then(Weak::upgrade) {
                    hub.observe(event);
                }
            }) as Observer
        };
        let replica = Replica::start(store, replica, observer)?;
        let hub = Arc::new(Self::of(settings, Operations::Shared(replica)));
        let _first = place.set(Arc::downgrade(&hub));
        Ok(hub)
    }

    fn of(settings: Settings, operations: Operations) -> Self {
        let tasks = background::Tasks::default();
        Self {
            permits: permits::Permits::new(settings.max_operations, settings.max_operations_per_owner),
            settings,
            watchers: Arc::default(),
            deadlines: Arc::new(Deadlines::new(tasks.clone())),
            operations,
            tasks,
            sweeping: AtomicBool::new(false),
            histories: DashMap::new(),
        }
    }

    /// How long the operations of this route take: a route's own, but that of all routes of the name where operations
    /// come out of a store, which knows no more of them.
    pub(crate) fn history(&self, route: &Arc<str>) -> Arc<History> {
        match &self.operations {
            Operations::Here(_) => Arc::default(),
            Operations::Shared(_) => Arc::clone(&self.histories.entry(Arc::clone(route)).or_default()),
        }
    }

    /// Terms that have come out of the store, with what is known here of how long the route's operations take.
    fn known(&self, terms: Arc<Terms>) -> Arc<Terms> {
        match self.histories.get(&terms.name) {
            Some(history) => Arc::new(terms.with_history(Arc::clone(&history))),
            None => terms,
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
