//! Shutting down: no operation is left running, and none is left without an end (R12).

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::{Hub, Operations, background::has_timers};
use crate::{operation::Failure, replica};

/// How long to wait before it is looked again whether one has been accepted in the last moment.
const AGAIN: Duration = Duration::from_millis(50);

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
    /// How many could not be stopped because they block their thread. They are ended as `interrupted`, or handed back,
    /// all the same.
    pub blocked: usize,
}

impl Hub {
    pub(crate) async fn drain(&self, grace: Duration) -> Drained {
        self.tasks.drain();
        let running = self.permits.running();
        let has_timers = has_timers();
        let interrupted = match has_timers {
            true => {
                self.idle_within(grace).await;
                self.interrupt_all().await
            }
            // Nothing runs on this runtime, and what may run on another cannot be waited for here.
            false => self.interrupt_running(),
        };
        let blocked = self.permits.running();
        if let Operations::Shared(replica) = &self.operations {
            replica.close();
        }
        self.tasks.close();
        within(STOP, has_timers, self.tasks.ended()).await;
        if let Operations::Shared(replica) = &self.operations {
            within(replica::LONGEST_END, has_timers, replica.ended()).await;
        }
        // Last, so that who waits for what has ended just now is told how.
        self.watchers.close();
        Drained { finished: running.saturating_sub(interrupted), interrupted, blocked }
    }

    async fn idle_within(&self, grace: Duration) {
        match Instant::now().checked_add(grace) {
            Some(deadline) => drop(timeout_at(deadline, self.permits.idle()).await),
            None => self.permits.idle().await,
        }
    }

    /// Ends what still runs, and waits until it has stopped. An operation that has its permit may come into the store
    /// only now, so one look is not enough.
    async fn interrupt_all(&self) -> usize {
        let mut interrupted = 0;
        let give_up = Instant::now() + STOP;
        loop {
            interrupted += self.interrupt_running();
            if timeout(AGAIN, self.permits.idle()).await.is_ok() || Instant::now() >= give_up {
                return interrupted;
            }
        }
    }

    /// Gives the number of those that ran.
    fn interrupt_running(&self) -> usize {
        match &self.operations {
            Operations::Here(store) => {
                let running = store.running();
                let interrupted = running.len();
                running.into_iter().for_each(|id| self.end(id, Failure::Interrupted));
                interrupted
            }
            // What is stopped is handed back, or ends as interrupted.
            Operations::Shared(replica) => replica.stop_all(),
        }
    }

    /// How many operations run in this process.
    pub(crate) fn running(&self) -> usize {
        self.permits.running()
    }
}

/// Waits for this, but no longer than so; not at all where there are no timers.
async fn within(longest: Duration, has_timers: bool, event: impl Future<Output = ()>) {
    if has_timers {
        let _in_time = timeout(longest, event).await;
    }
}
