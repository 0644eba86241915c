//! A process's part in a store that outlives it: what it runs, the lease under which it does, and what it still has to
//! tell the store.
//!
//! All of it happens on a thread of its own, so that handlers that block the application's threads cost no lease.

mod asking;
mod ends;
mod lease;
mod listening;
mod pulse;
mod reports;
mod runs;
mod sweeper;
#[cfg(test)]
mod tests;
mod withdrawals;

use std::{fmt, io, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle},
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{error, warn};

use crate::{
    operation::{Ending, Failure, OperationId, Reply, Report, State},
    run::Runner,
    store::{Attempt, Finished, LeaseId, Store, StoreError, StoreFuture, TooLate},
    telemetry::quietly,
};
use asking::bounded;
pub(crate) use asking::patience;
use ends::Ends;
use pulse::Pulse;
use runs::Runs;
pub(crate) use runs::{Durability, Stop};
use withdrawals::Withdrawals;

/// How a replica behaves towards its store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplicaSettings {
    /// After so long without a word from it, a replica counts as dead.
    pub(crate) lease: Duration,
    /// How many bytes of replies may wait for a store that is away.
    pub(crate) max_waiting_bytes: usize,
}

/// What the hub is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// The operation has ended; with its reply and what ran it, where that was here.
    Ended { id: OperationId, finished: Finished, reply: Option<Arc<Reply>>, runner: Option<Runner> },
    /// The operation may have changed.
    Changed(OperationId),
    /// Any operation may have changed.
    AnythingChanged,
    /// The operation is forgotten.
    Expired(OperationId),
}

pub(crate) type Observer = Arc<dyn Fn(Event) + Send + Sync>;

/// A process's part in a shared store. The thread ends with it, once what has to be told is told, or after a while.
pub(crate) struct Replica(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    settings: ReplicaSettings,
    runs: Runs,
    ends: Ends,
    withdrawals: Withdrawals,
    pulse: Pulse,
    lease: watch::Sender<Option<Arc<LeaseId>>>,
    /// There may be something to claim.
    queued: Arc<Notify>,
    /// Something may be held under the lease that nobody here knows of.
    doubt: Notify,
    observer: Observer,
    runtime: Handle,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Nothing more is asked of the store.
    ended: CancellationToken,
}

/// So many beats make up a lease: two may be missed.
const BEATS: u32 = 3;

/// How long what has to be told may take once the application shuts down.
const LINGER: Duration = Duration::from_secs(5);

/// How long it may take then to give up the lease.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a replica takes at most to end.
pub(crate) const LONGEST_END: Duration = LINGER.saturating_add(FAREWELL.saturating_mul(2));

impl Replica {
    /// Starts the thread.
    pub(crate) fn start(store: Arc<dyn Store>, settings: ReplicaSettings, observer: Observer) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared {
            store,
            settings,
            runs: Runs::default(),
            ends: Ends::new(settings.max_waiting_bytes),
            withdrawals: Withdrawals::new(),
            pulse: Pulse::new(settings.lease / BEATS),
            lease: watch::Sender::new(None),
            queued: Arc::default(),
            doubt: Notify::new(),
            observer,
            runtime: runtime.handle().clone(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        let own = Arc::clone(&shared);
        thread::Builder::new().name("respond-async".to_owned()).spawn(move || runtime.block_on(own.live()))?;
        Ok(Self(shared))
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The lease under which operations are run here, as soon as there is one. Whoever asks for something under it
    /// keeps this until it is known what came of that: so long the lease is not given up for another.
    ///
    /// Cancel safe.
    pub(crate) async fn lease(&self) -> Option<Arc<LeaseId>> {
        let mut lease = self.0.lease.subscribe();
        let lease = lease.wait_for(Option::is_some).await;
        lease.ok().and_then(|lease| lease.clone())
    }

    /// Expects a run, which is about to be created, or has been begun. `false` where a later attempt is expected
    /// already.
    pub(crate) fn expect(&self, attempt: Attempt, durability: Durability) -> bool {
        self.0.runs.expect(attempt, durability)
    }

    /// The store has the run that was expected.
    pub(crate) fn stored(&self, attempt: Attempt) {
        self.0.runs.stored(attempt);
    }

    /// The run has begun, and can be stopped by this. Gives it back where there is nothing to run any more.
    pub(crate) fn attach(&self, attempt: Attempt, runner: Runner) -> Result<(), TooLate> {
        self.0.runs.attach(attempt, runner)
    }

    /// What was expected did not come.
    pub(crate) fn dismiss(&self, attempt: Attempt) {
        self.0.runs.remove(attempt);
    }

    /// Has the store told how the run ended, now or when it is back.
    pub(crate) fn end(&self, attempt: Attempt, reply: Reply) {
        if self.0.runs.end(attempt) {
            self.0.end(attempt, reply);
        }
    }

    /// Stops the run of an operation that has ended so.
    pub(crate) fn stop(&self, id: OperationId, ended: State) -> Stop {
        self.0.runs.stop_operation(id, ended)
    }

    /// How far the attempt is, where it runs here.
    pub(crate) fn progress(&self, attempt: Attempt) -> Option<Report> {
        self.0.runs.progress(attempt)
    }

    /// Stops all that runs here, and gives its number.
    pub(crate) fn stop_all(&self) -> usize {
        self.0.runs.stop_all()
    }

    /// Something may be held under the lease that nobody here knows of: another lease is to be taken, with what is
    /// known.
    pub(crate) fn doubt(&self) {
        self.0.doubt.notify_one();
    }

    /// Waits until the store says that something is queued.
    ///
    /// Cancel safe.
    #[cfg(feature = "durable")]
    pub(crate) async fn queued(&self) {
        self.0.queued.notified().await;
    }

    /// Something has been queued: a worker of this process need not wait until it hears of that.
    pub(crate) fn tell_queued(&self) {
        self.0.queued.notify_one();
    }

    /// Ends the thread once the store knows how everything ended, and the lease is given up. What could not be stopped
    /// counts as interrupted.
    pub(crate) fn close(&self) {
        for attempt in self.0.runs.endless() {
            self.end(attempt, Reply::none(Ending::Failed(Failure::Interrupted)));
        }
        self.0.closing.cancel();
    }

    /// Waits until the thread has come to its end, which takes some seconds where the store is away.
    ///
    /// Cancel safe.
    pub(crate) async fn ended(&self) {
        self.0.ended.cancelled().await;
    }
}

impl Shared {
    /// All that the thread does.
    async fn live(self: Arc<Self>) {
        let _ended = self.ended.clone().drop_guard();
        let _listener = self.listen();
        let heartbeat = self.keep(Self::keep_lease);
        let others = [self.keep(Self::keep_sweeping), self.keep(Self::keep_reporting)];
        self.closing.cancelled().await;
        drop(others);
        self.tasks.close();
        if timeout(LINGER, self.tasks.wait()).await.is_err() {
            quietly(|| warn!("shut down before the store could be told how {} operations ended", self.runs.number()));
        }
        // Last, so that what is being told is not taken for lost.
        drop(heartbeat);
        if let Some(lease) = self.lease.send_replace(None) {
            let _in_time = timeout(FAREWELL, self.store.close_lease(*lease)).await;
        }
    }

    /// Keeps doing this until the handle is dropped, even if the store or a recorder panics.
    fn keep<F>(self: &Arc<Self>, keep: impl Fn(Arc<Self>) -> F + Send + Sync + 'static) -> AbortOnDropHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::clone(self);
        let kept = async move {
            while let Err(ended) = AbortOnDropHandle::new(shared.runtime.spawn(keep(Arc::clone(&shared)))).await {
                shared.pulse.missed();
                quietly(|| {
                    let error = &ended as &dyn std::error::Error;
                    error!(error, "the store, or who was told of it, has panicked");
                });
                sleep(shared.beat()).await;
            }
        };
        AbortOnDropHandle::new(self.runtime.spawn(kept))
    }

    /// The store's answer, or that it cannot be reached where there is none for the length of a beat.
    async fn ask_quickly<T: Send + 'static>(&self, ask: impl FnOnce() -> StoreFuture<T>) -> Result<T, StoreError> {
        bounded(self.beat(), ask).await
    }

    /// The store's answer, or that it cannot be reached where there is none for the length of a lease.
    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce() -> StoreFuture<T>) -> Result<T, StoreError> {
        bounded(self.settings.lease, ask).await
    }

    fn beat(&self) -> Duration {
        self.settings.lease / BEATS
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    fn tell(&self, event: Event) {
        (self.observer)(event);
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.0.closing.cancel();
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Replica").field("store", &self.0.store).finish_non_exhaustive()
    }
}
