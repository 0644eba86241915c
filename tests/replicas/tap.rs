//! A replica's way to its store, which can be shut.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tower_respond_async::{
    OperationId, Owner,
    store::{
        Attempt, Cancellation, Claimed, Counts, Created, Failure, Finished, LeaseId, ListFilter, Listed, Listener,
        NewOperation, OpenLease, Part, Reply, Report, Snapshot, Store, StoreError, StoreFuture, Swept,
    },
};

use crate::client::within;

#[derive(Debug)]
pub(crate) struct Tap {
    store: Arc<dyn Store>,
    state: Arc<State>,
}

/// What a test does to the way.
#[derive(Debug)]
pub(crate) struct State {
    /// Nothing comes through.
    away: AtomicBool,
    /// Nothing comes through, nor back, ever again: to the store, the replica is dead.
    dead: AtomicBool,
    /// Nothing comes back, until it is let go.
    frozen: AtomicBool,
    /// What is created waits.
    held: watch::Sender<bool>,
    /// What was created is not said to be yet.
    silent: watch::Sender<bool>,
    /// How many were created while that is so.
    silently: watch::Sender<usize>,
    /// So many creations to come are said to have failed.
    unanswered: AtomicUsize,
    /// How many operations were to be created.
    creations: watch::Sender<usize>,
    /// How often operations were read.
    reads: AtomicUsize,
    /// How often nothing was found to claim.
    vain_claims: AtomicUsize,
    /// How often the lease was renewed.
    renewals: watch::Sender<usize>,
    /// There is a lease.
    leased: watch::Sender<bool>,
}

impl State {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            away: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            held: watch::Sender::new(false),
            silent: watch::Sender::new(false),
            silently: watch::Sender::new(0),
            unanswered: AtomicUsize::new(0),
            creations: watch::Sender::new(0),
            reads: AtomicUsize::new(0),
            vain_claims: AtomicUsize::new(0),
            renewals: watch::Sender::new(0),
            leased: watch::Sender::new(false),
        })
    }

    pub(crate) async fn leased(&self) {
        within(self.leased.subscribe().wait_for(|leased| *leased)).await.unwrap();
    }

    /// Has what is created from now on wait until it is let go.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Has what is created from now on be answered only when this is over.
    pub(crate) fn hold_answers(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// Waits until one is there and not answered.
    pub(crate) async fn creates_silently(&self) {
        within(self.silently.subscribe().wait_for(|created| *created > 0)).await.unwrap();
    }

    /// Waits until so many operations were to be created.
    pub(crate) async fn creates(&self, expected: usize) {
        within(self.creations.subscribe().wait_for(|creations| *creations >= expected)).await.unwrap();
    }

    pub(crate) fn away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Has whatever is asked from now on go without an answer, as by a connection that hangs.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::SeqCst);
    }

    /// How often operations were read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// How often nothing was found to claim.
    pub(crate) fn vain_claims(&self) -> usize {
        self.vain_claims.load(Ordering::SeqCst)
    }

    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Has so many of the next creations done and said to have failed.
    pub(crate) fn unanswered(&self, creations: usize) {
        self.unanswered.store(creations, Ordering::SeqCst);
    }

    fn is_unanswered(&self) -> bool {
        self.unanswered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// Waits until the lease was renewed so often.
    pub(crate) async fn renews(&self, expected: usize) {
        within(self.renewals.subscribe().wait_for(|renewals| *renewals >= expected)).await.unwrap();
    }

    pub(crate) fn renewals(&self) -> usize {
        *self.renewals.borrow()
    }

    /// How many operations were to be created.
    pub(crate) fn creations(&self) -> usize {
        *self.creations.borrow()
    }
}

impl Tap {
    pub(crate) fn new(store: Arc<dyn Store>, state: Arc<State>) -> Self {
        Self { store, state }
    }

    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&dyn Store) -> StoreFuture<T>) -> StoreFuture<T> {
        if self.state.dead.load(Ordering::SeqCst) || self.state.frozen.load(Ordering::SeqCst) {
            return StoreFuture::pending(pending());
        }
        if self.state.away.load(Ordering::SeqCst) {
            return StoreFuture::ready(Err(away()));
        }
        ask(&*self.store)
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the way is shut".into())
}

impl Store for Tap {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        let (mut held, mut silent) = (self.state.held.subscribe(), self.state.silent.subscribe());
        self.state.creations.send_modify(|creations| *creations += 1);
        let is_unanswered = self.state.is_unanswered();
        if !*held.borrow() && !*silent.borrow() && !is_unanswered {
            return self.ask(|store| store.create(operation));
        }
        let (store, state) = (Arc::clone(&self.store), Arc::clone(&self.state));
        StoreFuture::pending(async move {
            drop(held.wait_for(|held| !held).await);
            let created = Self::new(store, Arc::clone(&state)).ask(|store| store.create(operation)).await;
            state.silently.send_modify(|created| *created += usize::from(*silent.borrow()));
            drop(silent.wait_for(|silent| !silent).await);
            if is_unanswered { Err(away()) } else { created }
        })
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        self.state.reads.fetch_add(1, Ordering::SeqCst);
        self.ask(|store| store.read(id, owner, part))
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        self.ask(|store| store.finish(attempt, reply))
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        self.ask(|store| store.cancel(id, owner))
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        self.ask(|store| store.forget(id, owner))
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        self.ask(|store| store.list(owner, filter, limit))
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.ask(|store| store.report(attempt, report))
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        let state = Arc::clone(&self.state);
        self.ask(|store| store.open_lease(length, running)).map(move |open| {
            state.leased.send_replace(true);
            open
        })
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        let state = Arc::clone(&self.state);
        self.ask(|store| store.renew(lease, running)).map(move |lost| {
            state.renewals.send_modify(|renewals| *renewals += 1);
            lost
        })
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.ask(|store| store.close_lease(lease))
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        let state = Arc::clone(&self.state);
        self.ask(|store| store.claim(lease, limit)).map(move |claimed| {
            state.vain_claims.fetch_add(usize::from(claimed.is_empty()), Ordering::SeqCst);
            claimed
        })
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.ask(|store| store.retry(attempt, failure))
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.ask(|store| store.hand_back(attempt))
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        self.ask(|store| store.sweep(limit))
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.ask(|store| store.counts())
    }

    fn announce_to(&self, listener: Listener) {
        self.store.announce_to(listener);
    }
}
