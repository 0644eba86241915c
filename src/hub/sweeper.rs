//! The task that forgets what is expired and ends what runs too long.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Hub, Operations};
use crate::{operation::Failure, telemetry};

const PERIOD: Duration = Duration::from_millis(250);

/// As many operations as are forgotten in one go, between which others get their turn: some tens of microseconds.
const SLICE: usize = 32;

impl Hub {
    /// Whether the sweeper runs, or can be started here.
    pub(super) fn can_sweep(&self) -> bool {
        self.sweeping.load(Ordering::Relaxed) || self.tasks.can_spawn()
    }

    /// Has the sweeper run, unless it does.
    pub(super) fn keep_sweeping(self: &Arc<Self>) {
        if !self.sweeping.load(Ordering::Relaxed) && !self.sweeping.swap(true, Ordering::AcqRel) {
            self.tasks.spawn(sweep(Sweeping(Arc::downgrade(self)), self.tasks.closing().clone()));
        }
    }

    /// Whether there is more to sweep.
    fn sweep_slice(&self) -> bool {
        let Operations::Here(store) = &self.operations else { return false };
        let swept = store.sweep(SLICE);
        for id in swept.expired {
            telemetry::expired(id);
        }
        for id in swept.overdue {
            self.end(id, Failure::TimedOut);
        }
        swept.more
    }
}

async fn sweep(sweeping: Sweeping, closing: CancellationToken) {
    while closing.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        while let Some(hub) = sweeping.0.upgrade()
            && hub.sweep_slice()
        {
            drop(hub);
            tokio::task::yield_now().await;
        }
    }
}

/// The right to sweep. If it is lost with its runtime, another runtime takes over.
struct Sweeping(Weak<Hub>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(hub) = self.0.upgrade() {
            hub.sweeping.store(false, Ordering::Release);
        }
    }
}
