//! What a handler sees of its operation: it reports how far it is, and learns that nobody waits any more.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Watchers;
use crate::operation::{OperationId, Progress, ProgressCell, Report, State};

/// Watchers are told of progress at most this often; of what lies between, only the latest counts.
pub(crate) const PROGRESS_PERIOD: Duration = Duration::from_millis(100);

/// A handler's view of the operation it runs, or may come to run: found in the request's extensions where the policy
/// says [`handle(true)`](crate::Policy::handle).
///
/// It may be cloned and taken to other tasks and threads, which is how blocking work learns that nobody waits for it
/// any more: a handler's future is dropped when its operation is canceled, but a thread it has started goes on.
#[derive(Clone)]
pub struct OperationHandle(Arc<Shared>);

struct Shared {
    id: OperationId,
    attempt: u32,
    progress: ProgressCell,
    detached: AtomicBool,
    ended: OnceLock<State>,
    stop: CancellationToken,
    /// Known once the request has been detached.
    task: OnceLock<AbortHandle>,
    watchers: Arc<Watchers>,
    created: Instant,
    /// When the watchers were last told of progress, in milliseconds after it was created.
    told: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl OperationHandle {
    pub(crate) fn new(watchers: Arc<Watchers>) -> Self {
        Self::of(watchers, OperationId::random(), 1)
    }

    /// The handle of an attempt that was claimed.
    #[cfg(feature = "durable")]
    pub(crate) fn claimed(watchers: Arc<Watchers>, attempt: crate::store::Attempt) -> Self {
        let handle = Self::of(watchers, attempt.operation, attempt.number);
        handle.0.detached.store(true, Ordering::Relaxed);
        handle
    }

    fn of(watchers: Arc<Watchers>, id: OperationId, attempt: u32) -> Self {
        Self(Arc::new(Shared {
            id,
            attempt,
            progress: ProgressCell::of_attempt(attempt),
            detached: AtomicBool::new(false),
            ended: OnceLock::new(),
            stop: CancellationToken::new(),
            task: OnceLock::new(),
            watchers,
            created: Instant::now(),
            told: AtomicU64::new(NEVER),
        }))
    }

    /// The operation's id: the one that clients see once the request has been detached.
    #[must_use]
    pub fn id(&self) -> OperationId {
        self.0.id
    }

    /// Which attempt of the operation this is: 1 for the first. There are further ones only in durable execution, where
    /// a handler may be run more than once: with the [id](Self::id) it can make sure that its effects are not.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The operation's state. A request that is still answered in line is [`Running`](State::Running).
    #[must_use]
    pub fn state(&self) -> State {
        self.0.ended.get().copied().unwrap_or(State::Running)
    }

    /// Whether the request has been detached: its client has been answered `202 Accepted`.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.0.detached.load(Ordering::Relaxed)
    }

    /// Tells those who watch how far the operation is. Only the latest progress counts, and watchers are told ten times
    /// a second at most, so this may be called as often as is convenient.
    ///
    /// What is set before the request is detached is shown from the moment it is.
    pub fn set_progress(&self, progress: impl Into<Progress>) {
        if self.0.progress.set(progress.into()) && self.is_detached() && self.0.may_tell() {
            self.0.watchers.changed(self.0.id);
        }
    }

    /// Whether the work is no longer wanted: the operation has ended, be it that it was canceled, ran too long or was
    /// interrupted by a shutdown; or the client of a request in line has hung up, or has got the whole of its response.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Waits until the work is no longer wanted, as [`is_canceled`](Self::is_canceled) has it.
    ///
    /// Cancel safe. It ends, too, when the handler's future is gone, so a task that awaits it does not outlive the
    /// operation.
    pub async fn canceled(&self) {
        self.0.stop.cancelled().await;
    }

    /// The request has been detached. Returns the progress set so far.
    pub(crate) fn detach(&self) -> Option<Report> {
        self.0.detached.store(true, Ordering::Relaxed);
        self.0.progress.get()
    }

    pub(crate) fn end(&self, state: State) {
        let _first = self.0.ended.set(state);
    }

    pub(super) fn progress(&self) -> Option<Report> {
        self.0.progress.get()
    }

    /// The task that runs the operation.
    pub(super) fn task(&self) -> &OnceLock<AbortHandle> {
        &self.0.task
    }

    /// The handler's future is gone.
    pub(crate) fn released(&self) {
        self.0.stop.cancel();
    }
}

impl Shared {
    /// Whether it is time to tell the watchers again. What is not told is seen by them all the same: after each report
    /// they look once more when the period is over.
    fn may_tell(&self) -> bool {
        let now = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        let told = self.told.load(Ordering::Relaxed);
        let may = told == NEVER || now.saturating_sub(told) >= PROGRESS_PERIOD.as_millis() as u64;
        if may {
            self.told.store(now, Ordering::Relaxed);
        }
        may
    }
}

impl fmt::Debug for OperationHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OperationHandle").field("id", &self.id()).field("state", &self.state()).finish()
    }
}
