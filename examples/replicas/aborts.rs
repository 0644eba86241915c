//! For tests of what becomes of operations when a replica dies at the worst moment: a store that ends the process, as
//! if it were killed, right before or after something is asked of it.
//!
//! `REPLICAS_ABORT=after-finish:3` ends it once the third `finish` is done and before anybody here knows of it;
//! `before-finish:3` before the third is asked for.

use std::{
    env,
    error::Error,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tower_respond_async::{
    OperationId, Owner,
    store::{
        Attempt, Cancellation, Claimed, Counts, Created, Failure, Finished, LeaseId, ListFilter, Listed, Listener,
        NewOperation, OpenLease, Part, Reply, Report, Snapshot, Store, StoreFuture, Swept,
    },
};

const VARIABLE: &str = "REPLICAS_ABORT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// When to end the process.
#[derive(Debug)]
pub(crate) struct Aborting {
    when: When,
    method: String,
    countdown: AtomicU32,
}

impl Aborting {
    /// # Errors
    ///
    /// Says so where the variable is not understood.
    pub(crate) fn from_environment() -> Result<Option<Self>, Box<dyn Error>> {
        let Some(text) = env::var_os(VARIABLE) else { return Ok(None) };
        let expected = || format!("{VARIABLE}: expected such as after-finish:3, found {text:?}").into();
        text.to_str().and_then(Self::parse).map(Some).ok_or_else(expected)
    }

    fn parse(text: &str) -> Option<Self> {
        let (point, number) = text.split_once(':')?;
        let (when, method) = point.split_once('-')?;
        let when = match when {
            "before" => When::Before,
            "after" => When::After,
            _ => return None,
        };
        Some(Self { when, method: method.to_owned(), countdown: AtomicU32::new(number.parse().ok()?) })
    }

    pub(crate) fn around(self, store: impl Store) -> impl Store {
        Around { store, aborting: Arc::new(self) }
    }

    fn pass(&self, when: When, method: &str) {
        if self.when == when && self.method == method && self.countdown.fetch_sub(1, Ordering::SeqCst) == 1 {
            process::abort();
        }
    }
}

#[derive(Debug)]
struct Around<S> {
    store: S,
    aborting: Arc<Aborting>,
}

impl<S: Store> Around<S> {
    fn ask<T: Send + 'static>(
        &self,
        method: &'static str,
        question: impl FnOnce(&S) -> StoreFuture<T>,
    ) -> StoreFuture<T> {
        self.aborting.pass(When::Before, method);
        let (answer, aborting) = (question(&self.store), Arc::clone(&self.aborting));
        StoreFuture::pending(async move {
            let answer = answer.await;
            aborting.pass(When::After, method);
            answer
        })
    }
}

impl<S: Store> Store for Around<S> {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        self.ask("create", |store| store.create(operation))
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        self.store.read(id, owner, part)
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        self.ask("finish", |store| store.finish(attempt, reply))
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        self.ask("cancel", |store| store.cancel(id, owner))
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        self.ask("forget", |store| store.forget(id, owner))
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        self.store.list(owner, filter, limit)
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.ask("report", |store| store.report(attempt, report))
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        self.ask("open_lease", |store| store.open_lease(length, running))
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        self.ask("renew", |store| store.renew(lease, running))
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.ask("close_lease", |store| store.close_lease(lease))
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        self.ask("claim", |store| store.claim(lease, limit))
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.ask("retry", |store| store.retry(attempt, failure))
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.ask("hand_back", |store| store.hand_back(attempt))
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        self.ask("sweep", |store| store.sweep(limit))
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.store.counts()
    }

    fn announce_to(&self, listener: Listener) {
        self.store.announce_to(listener);
    }
}
