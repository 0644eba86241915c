//! What is asked of operations without changing any.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Hub, Operations};
use crate::{
    operation::{OperationId, Owner, State},
    run::Watch,
    store::{Attempt, ListFilter, Listed, Part, Snapshot, StoreFuture},
};

/// How often a shared store is asked again for what somebody waits for, in case it has not said that it changed.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Hub {
    /// What is known of an operation of this owner.
    pub(crate) fn read(
        self: &Arc<Self>,
        id: OperationId,
        owner: Option<&Owner>,
        part: Part,
    ) -> StoreFuture<Option<Snapshot>> {
        match &self.operations {
            Operations::Here(store) => StoreFuture::ready(Ok(store.read(id, owner))),
            Operations::Shared(replica) => {
                let hub = Arc::clone(self);
                replica.read(id, owner, part).map(move |read| read.map(|snapshot| hub.completed(snapshot)))
            }
        }
    }

    /// Adds what only this process knows.
    pub(super) fn completed(&self, mut snapshot: Snapshot) -> Snapshot {
        snapshot.terms = self.known(snapshot.terms);
        if let Operations::Shared(replica) = &self.operations
            && snapshot.state() == State::Running
        {
            let attempt = Attempt { operation: snapshot.id, number: snapshot.life.attempt };
            snapshot.progress = replica.progress(attempt).or(snapshot.progress);
        }
        snapshot
    }

    /// Waits for a change of an operation, or for the time to ask whether there was one. `false` where there will be
    /// none until then.
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&self, watch: &mut Watch, until: Instant) -> bool {
        let ask_again = self.ask_again().map(|period| Instant::now() + period).filter(|again| *again < until);
        match timeout_at(ask_again.unwrap_or(until), watch.changed()).await {
            Ok(more) => more,
            Err(_) => ask_again.is_some(),
        }
    }

    /// Whether the operations live in a store that outlives this process.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.operations, Operations::Shared(_))
    }

    /// Whether what is read is whole, whatever part was asked for.
    pub(crate) fn reads_all(&self) -> bool {
        matches!(self.operations, Operations::Here(_))
    }

    /// The owner's operations, newest first.
    pub(crate) fn list(self: &Arc<Self>, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        match &self.operations {
            Operations::Here(store) => StoreFuture::ready(Ok(store.list(owner, filter, limit))),
            Operations::Shared(replica) => {
                let hub = Arc::clone(self);
                replica.list(owner, filter, limit).map(move |listed| Listed {
                    operations: listed.operations.into_iter().map(|snapshot| hub.completed(snapshot)).collect(),
                    next: listed.next,
                })
            }
        }
    }

    /// Forgets an operation of this owner that has ended. `false` where there is none.
    pub(crate) fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        match &self.operations {
            Operations::Here(store) => StoreFuture::ready(Ok(store.forget(id, owner))),
            Operations::Shared(replica) => replica.forget(id, owner),
        }
    }

    /// How long to wait for word of a change before the operation is looked at all the same. `None` where every change
    /// is told.
    pub(crate) fn ask_again(&self) -> Option<Duration> {
        match &self.operations {
            Operations::Here(_) => None,
            Operations::Shared(_) => Some(ASK_AGAIN),
        }
    }
}
