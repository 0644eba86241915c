//! The one place where tasks are spawned, so that a shutdown finds them all.

use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::AbortHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tracker: TaskTracker,
    draining: AtomicBool,
    closing: CancellationToken,
    /// A runtime has been met that has no timers.
    timers_are_missing: AtomicBool,
}

impl Tasks {
    /// Whether there is a runtime to spawn on, with timers, and no shutdown under way that has come to its end.
    pub(super) fn can_spawn(&self) -> bool {
        !self.are_closing() && self.have_timers()
    }

    /// Whether there are timers, on every runtime that has been met so far.
    fn have_timers(&self) -> bool {
        if self.0.timers_are_missing.load(Ordering::Relaxed) || Handle::try_current().is_err() {
            return false;
        }
        let have = has_timers();
        if !have && !self.0.timers_are_missing.swap(true, Ordering::Relaxed) {
            error!("requests stay in line: this Tokio runtime has no timers, which its builder's enable_time gives it");
        }
        have
    }

    /// Spawns on the current runtime, of which there must be one.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.tracker.spawn(task).abort_handle()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    pub(super) fn drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }

    pub(super) fn are_closing(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    /// Has the tasks end that live as long as the hub does.
    pub(super) fn close(&self) {
        self.drain();
        self.0.closing.cancel();
        self.0.tracker.close();
    }

    pub(super) fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    /// Waits until every task has ended.
    pub(super) async fn ended(&self) {
        self.0.tracker.wait().await;
    }
}

/// Whether there is a runtime, and one with timers.
// There is no way to ask but to try, which is cheap where it succeeds.
pub(super) fn has_timers() -> bool {
    Handle::try_current().is_ok() && catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok()
}
