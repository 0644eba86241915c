//! Shutting down: no operation is left running, and none is left without an end (R12).

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::Hub;
use crate::operation::Failure;

/// How long a task may take to stop once it has been told to: only one that blocks its thread takes any time at all.
const STOP: Duration = Duration::from_secs(1);

/// What became of the operations that ran when the application began to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// How many ended by themselves within the grace.
    pub finished: usize,
    /// How many were ended as `interrupted`.
    pub interrupted: usize,
    /// How many could not be stopped because they block their thread. They are ended as `interrupted` all the same.
    pub blocked: usize,
}

impl Hub {
    pub(crate) async fn drain(&self, grace: Duration) -> Drained {
        self.tasks.drain();
        let running = self.permits.running();
        let deadline = Instant::now().checked_add(grace);
        match deadline {
            Some(deadline) => drop(timeout_at(deadline, self.permits.idle()).await),
            None => self.permits.idle().await,
        }
        let interrupted = self.store.running();
        for id in &interrupted {
            self.end(*id, Failure::Interrupted);
        }
        let _in_time = timeout(STOP, self.permits.idle()).await;
        let blocked = self.permits.running();
        self.tasks.close();
        self.watchers.close();
        let _in_time = timeout(STOP, self.tasks.ended()).await;
        let interrupted = interrupted.len();
        Drained { finished: running.saturating_sub(interrupted), interrupted, blocked }
    }

    /// How many operations run in this process.
    pub(crate) fn running(&self) -> usize {
        self.permits.running()
    }
}
