//! A store that does not always do as it is told.

use std::{
    fmt,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, task::yield_now, time::sleep};

use crate::{
    operation::{Failure, OperationId, Owner, Reply, Report},
    store::{
        Attempt, Cancellation, Claimed, Counts, Created, Finished, LeaseId, ListFilter, Listed, Listener, MemoryStore,
        NewOperation, OpenLease, Part, Snapshot, Store, StoreError, StoreFuture, Swept,
    },
};

type Fault = Box<dyn Fn(&Reply) -> Option<StoreError> + Send + Sync>;

/// What comes of asking for anything but a lease and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Answers,
    Never,
    PanicsAtOnce,
    PanicsLater,
    RepliesAfter(Duration),
    /// What is created is never said to be.
    CreatesSilently,
    /// What is to be created is there once it has been asked in vain to cancel it.
    CreatesLate,
}

/// Fails when it is told of an end, and panics at its first renewal.
pub(super) struct Faulty {
    store: Arc<dyn Store>,
    fault: Fault,
    asked: Asked,
    pub(super) renewals: watch::Sender<usize>,
    late: Mutex<Option<NewOperation>>,
    /// Whether there was what it was last told to forget.
    pub(super) forgotten: watch::Sender<Option<bool>>,
    /// How many cancellations are under way, and how many were at most.
    pub(super) canceling: watch::Sender<(usize, usize)>,
    pub(super) leases: watch::Sender<Leases>,
}

/// Whether it opens leases, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub(super) are_denied: bool,
    pub(super) opened: usize,
    pub(super) closed: Vec<LeaseId>,
}

impl Faulty {
    pub(super) fn at_ends(fault: impl Fn(&Reply) -> Option<StoreError> + Send + Sync + 'static) -> Self {
        let (store, renewals) = (Arc::new(MemoryStore::new()), watch::Sender::new(0));
        let (late, forgotten) = (Mutex::default(), watch::Sender::default());
        let (canceling, leases) = (watch::Sender::default(), watch::Sender::default());
        Self { store, fault: Box::new(fault), asked: Asked::Answers, renewals, late, forgotten, canceling, leases }
    }

    pub(super) fn when_asked(asked: Asked) -> Self {
        Self { asked, ..Self::at_ends(|_| None) }
    }

    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&dyn Store) -> StoreFuture<T>) -> StoreFuture<T> {
        match self.asked {
            Asked::Answers | Asked::RepliesAfter(_) | Asked::CreatesLate | Asked::CreatesSilently => ask(&*self.store),
            Asked::Never => StoreFuture::pending(pending()),
            Asked::PanicsAtOnce => panic!("in a store"),
            Asked::PanicsLater => StoreFuture::pending(async {
                yield_now().await;
                panic!("in a store")
            }),
        }
    }
}

impl Store for Faulty {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        if self.asked == Asked::CreatesLate {
            *self.late.lock().unwrap() = Some(operation);
            return StoreFuture::ready(Err(StoreError::Unavailable("late".into())));
        }
        let created = self.ask(|store| store.create(operation));
        match self.asked {
            Asked::CreatesSilently => StoreFuture::pending(async {
                match created.await {
                    Ok(Created::New { .. }) => pending().await,
                    other => other,
                }
            }),
            _ => created,
        }
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        let answer = self.ask(|store| store.read(id, owner, part));
        match self.asked {
            Asked::RepliesAfter(long) if part == Part::Reply => StoreFuture::pending(async move {
                sleep(long).await;
                answer.await
            }),
            _ => answer,
        }
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        match (self.fault)(&reply) {
            Some(error) => StoreFuture::ready(Err(error)),
            None => self.store.finish(attempt, reply),
        }
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        let canceled = self.ask(|store| store.cancel(id, owner));
        let late = self.late.lock().unwrap().take();
        let (store, canceling) = (Arc::clone(&self.store), self.canceling.clone());
        StoreFuture::pending(async move {
            canceling.send_modify(|(now, most)| (*now, *most) = (*now + 1, (*now + 1).max(*most)));
            yield_now().await;
            let canceled = canceled.await;
            canceling.send_modify(|(now, _)| *now -= 1);
            if let Some(late) = late {
                store.create(late).await?;
            }
            canceled
        })
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        let (asked, tell) = (self.ask(|store| store.forget(id, owner)), self.forgotten.clone());
        StoreFuture::pending(async move {
            let forgotten = asked.await?;
            tell.send_replace(Some(forgotten));
            Ok(forgotten)
        })
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        self.ask(|store| store.list(owner, filter, limit))
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.store.report(attempt, report)
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        if self.leases.borrow().are_denied {
            return StoreFuture::ready(Err(StoreError::Unavailable("no lease".into())));
        }
        self.leases.send_modify(|leases| leases.opened += 1);
        self.store.open_lease(length, running)
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        self.renewals.send_modify(|renewals| *renewals += 1);
        assert_ne!(*self.renewals.borrow(), 1, "the first renewal");
        self.store.renew(lease, running)
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.leases.send_modify(|leases| leases.closed.push(lease));
        self.store.close_lease(lease)
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        self.ask(|store| store.claim(lease, limit))
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.store.retry(attempt, failure)
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.store.hand_back(attempt)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        self.store.sweep(limit)
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.store.counts()
    }

    fn announce_to(&self, listener: Listener) {
        // So that only the replica itself is heard.
        drop(listener);
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(formatter)
    }
}
