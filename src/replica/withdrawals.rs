//! Operations that are not to be, on their way out of a store that may have them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    Replica, Shared,
    ends::{PAUSE, has_failed},
};
use crate::{
    operation::{OperationId, Owner},
    store::{Attempt, Cancellation, StoreError},
};

/// Once so many wait for the store to answer, nothing is created that might have to be withdrawn, too.
const MOST: usize = 1_024;

/// The store is asked for so many at once, so that they do not keep it from hearing the heartbeats when it is back.
const AT_ONCE: usize = 32;

#[derive(Debug)]
pub(super) struct Withdrawals {
    /// Those that the store has not answered to: it is away.
    unanswered: TaskTracker,
    turns: Semaphore,
}

impl Withdrawals {
    pub(super) fn new() -> Self {
        Self { unanswered: TaskTracker::new(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Replica {
    /// Whether an operation can be created that would have to be withdrawn if the store did not answer.
    pub(crate) fn can_withdraw(&self) -> bool {
        self.0.withdrawals.unanswered.len() < MOST
    }

    /// Has the store forget an operation that nobody was told of, now or when it is back. Where it has not said whether
    /// the operation is there, it is asked for so long whether it has come.
    pub(crate) fn withdraw(&self, attempt: Attempt, owner: Option<Owner>, awaited: Duration) {
        let (shared, until) = (Arc::clone(&self.0), Instant::now() + awaited);
        let unanswered = self.0.withdrawals.unanswered.token();
        self.0.spawn(async move {
            let withdrawn = shared.withdraw(attempt.operation, owner.as_ref(), until, unanswered).await;
            shared.runs.remove(attempt);
            if has_failed(&withdrawn) {
                shared.doubt.notify_one();
            }
        });
    }
}

impl Shared {
    /// Leaves nothing of it, not even its key. That it is not there says nothing before this moment; the end of this
    /// process is not put off by it.
    async fn withdraw(
        &self,
        id: OperationId,
        owner: Option<&Owner>,
        until: Instant,
        unanswered: TaskTrackerToken,
    ) -> Result<Cancellation, StoreError> {
        let (mut pause, mut unanswered) = (PAUSE.0, Some(unanswered));
        loop {
            let is_last = Instant::now() >= until || self.closing.is_cancelled();
            let turn = self.withdrawals.turns.acquire().await;
            let canceled = self.until_told(id, || self.store.cancel(id, owner)).await;
            drop(unanswered.take());
            if is_last || !matches!(canceled, Ok(Cancellation::Unknown)) {
                let _in_vain = self.until_told(id, || self.store.forget(id, owner)).await;
                return canceled;
            }
            drop(turn);
            let next = until.min(Instant::now() + pause);
            let _closing = timeout_at(next, self.closing.cancelled()).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}
