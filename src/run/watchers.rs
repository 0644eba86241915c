//! Those who wait for something to happen to an operation.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

use crate::operation::OperationId;

/// Those who wait, by operation. An operation that nobody waits for costs nothing here.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    watched: DashMap<OperationId, watch::Sender<Signal>>,
    /// How many operations are watched, so that it is cheap to see that none is.
    count: AtomicUsize,
    closed: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signal {
    changes: u64,
    stopped: bool,
    closed: bool,
}

/// A wait for changes of one operation. It sees every change that comes after it was made, so whoever reads the
/// operation's state after that misses nothing.
#[derive(Debug)]
pub(crate) struct Watch {
    id: OperationId,
    /// Taken only to be dropped before the watchers look whether anybody still waits.
    changes: Option<watch::Receiver<Signal>>,
    watchers: Arc<Watchers>,
}

impl Watchers {
    pub(crate) fn watch(self: &Arc<Self>, id: OperationId) -> Watch {
        let changes = match self.watched.entry(id) {
            Entry::Occupied(sender) => sender.get().subscribe(),
            Entry::Vacant(place) => {
                self.count.fetch_add(1, Ordering::SeqCst);
                let (sender, receiver) = watch::channel(Signal::default());
                place.insert(sender);
                receiver
            }
        };
        Watch { id, changes: Some(changes), watchers: Arc::clone(self) }
    }

    /// Something about the operation has changed.
    pub(crate) fn changed(&self, id: OperationId) {
        self.signal(id, |signal| signal.changes += 1);
    }

    /// Nothing of the operation runs any more.
    pub(crate) fn stopped(&self, id: OperationId) {
        self.signal(id, |signal| signal.stopped = true);
    }

    /// Ends all waits, and those to come.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for sender in &self.watched {
            sender.send_modify(|signal| signal.closed = true);
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn signal(&self, id: OperationId, modify: impl FnOnce(&mut Signal)) {
        if self.count.load(Ordering::SeqCst) > 0
            && let Some(sender) = self.watched.get(&id)
        {
            sender.send_modify(modify);
        }
    }
}

impl Watch {
    /// Waits for the next change. `false` where there will be none, because the application shuts down.
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) -> bool {
        let Some(changes) = &mut self.changes else { return false };
        !self.watchers.is_closed() && changes.changed().await.is_ok() && !self.watchers.is_closed()
    }

    /// Waits until nothing of the operation runs any more. `false` where the application shuts down before.
    ///
    /// Cancel safe.
    pub(crate) async fn stopped(&mut self) -> bool {
        let Some(changes) = &mut self.changes else { return false };
        let over = changes.wait_for(|signal| signal.stopped || signal.closed).await;
        over.is_ok_and(|signal| signal.stopped)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.changes.take());
        if self.watchers.watched.remove_if(&self.id, |_, sender| sender.receiver_count() == 0).is_some() {
            self.watchers.count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(shuttle)]
#[cfg(test)]
mod races;
