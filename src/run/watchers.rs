//! Those who wait for something to happen to an operation.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use dashmap::DashMap;
use slab::Slab;

use crate::operation::{OperationId, Reply};

/// Those who wait, by operation. An operation that nobody waits for costs nothing here.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    watched: DashMap<OperationId, Watched>,
    /// How many operations are watched, so that it is cheap to see that none is.
    count: AtomicUsize,
    closed: AtomicBool,
}

/// An operation that is watched.
#[derive(Debug, Default)]
struct Watched {
    changes: u64,
    /// The number of the latest attempt of which nothing runs any more; 0 where there is none.
    stopped: u32,
    /// How many want its reply, and the reply where it ended here.
    wanted: usize,
    reply: Option<Arc<Reply>>,
    /// A place for each watch, with whom to wake where it waits.
    waiting: Slab<Option<Waker>>,
}

/// A wait for changes of one operation. It sees every change that comes after it was made, so whoever reads the
/// operation's state after that misses nothing.
#[derive(Debug)]
pub(crate) struct Watch {
    id: OperationId,
    place: usize,
    /// The changes that it has seen.
    changes: u64,
    wants_reply: bool,
    watchers: Arc<Watchers>,
}

impl Watchers {
    pub(crate) fn watch(self: &Arc<Self>, id: OperationId) -> Watch {
        self.enter(id, false)
    }

    /// A watch that is given the reply, where the operation ends here meanwhile.
    pub(crate) fn watch_for_reply(self: &Arc<Self>, id: OperationId) -> Watch {
        self.enter(id, true)
    }

    fn enter(self: &Arc<Self>, id: OperationId, wants_reply: bool) -> Watch {
        let mut watched = self.watched.entry(id).or_default();
        if watched.waiting.is_empty() {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
        let place = watched.waiting.insert(None);
        watched.wanted += usize::from(wants_reply);
        Watch { id, place, changes: watched.changes, wants_reply, watchers: Arc::clone(self) }
    }

    /// Something about the operation has changed.
    pub(crate) fn changed(&self, id: OperationId) {
        self.signal(id, |watched| watched.changes += 1);
    }

    /// The operation has ended with this reply, as is stored by now: those who wait for it need not read it.
    pub(crate) fn ended(&self, id: OperationId, reply: Arc<Reply>) {
        self.signal(id, |watched| {
            watched.reply = (watched.wanted > 0).then_some(reply);
            watched.changes += 1;
        });
    }

    /// Something about any operation may have changed.
    pub(crate) fn all_changed(&self) {
        let watched: Vec<_> = self.watched.iter().map(|watched| *watched.key()).collect();
        watched.into_iter().for_each(|id| self.changed(id));
    }

    /// Nothing of the operation's attempt of this number runs any more.
    pub(crate) fn stopped(&self, id: OperationId, attempt: u32) {
        self.signal(id, |watched| watched.stopped = watched.stopped.max(attempt));
    }

    /// Ends all waits, and those to come.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let waiting: Vec<_> = self.watched.iter_mut().flat_map(|mut watched| watched.take_waiting()).collect();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn signal(&self, id: OperationId, modify: impl FnOnce(&mut Watched)) {
        if self.count.load(Ordering::SeqCst) > 0 {
            let Some(mut watched) = self.watched.get_mut(&id) else { return };
            modify(&mut watched);
            let waiting = watched.take_waiting();
            // Nobody knows what those who are woken do; it must not be under the lock.
            drop(watched);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl Watched {
    fn take_waiting(&mut self) -> Vec<Waker> {
        self.waiting.iter_mut().filter_map(|(_, waiting)| waiting.take()).collect()
    }
}

impl Watch {
    /// Waits for the next change. `false` where there will be none, because the application shuts down.
    pub(crate) fn poll_changed(&mut self, context: &Context<'_>) -> Poll<bool> {
        let mut seen = self.changes;
        let polled = self.poll(context, |watched, closed| match closed {
            true => Some(false),
            false => (std::mem::replace(&mut seen, watched.changes) != watched.changes).then_some(true),
        });
        self.changes = seen;
        polled
    }

    /// The same as a future.
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) -> bool {
        poll_fn(|context| self.poll_changed(context)).await
    }

    /// The operation's reply, where it has ended here while it was watched.
    pub(crate) fn reply(&self) -> Option<Arc<Reply>> {
        self.watchers.watched.get(&self.id)?.reply.clone()
    }

    /// Waits until nothing of the attempt of this number runs any more. `false` where the application shuts down
    /// before.
    ///
    /// Cancel safe.
    pub(crate) async fn stopped(&self, attempt: u32) -> bool {
        let over = |watched: &Watched, closed| {
            let stopped = watched.stopped >= attempt;
            (stopped || closed).then_some(stopped)
        };
        poll_fn(|context| self.poll(context, over)).await
    }

    /// Is woken by the next signal, unless there is something to say already.
    fn poll(&self, context: &Context<'_>, mut say: impl FnMut(&Watched, bool) -> Option<bool>) -> Poll<bool> {
        let Some(mut watched) = self.watchers.watched.get_mut(&self.id) else { return Poll::Ready(false) };
        // Looked at under the lock: who closes takes it after saying so.
        let said = say(&watched, self.watchers.is_closed());
        match (said, watched.waiting.get_mut(self.place)) {
            (Some(said), _) => Poll::Ready(said),
            (None, None) => Poll::Ready(false),
            (None, Some(Some(waiting))) if waiting.will_wake(context.waker()) => Poll::Pending,
            (None, Some(place)) => {
                let former = place.replace(context.waker().clone());
                // What goes with a waker must not go under the lock either.
                drop(watched);
                drop(former);
                Poll::Pending
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiting = None;
        let last = self.watchers.watched.remove_if_mut(&self.id, |_, watched| {
            waiting = watched.waiting.try_remove(self.place).flatten();
            watched.wanted -= usize::from(self.wants_reply);
            if watched.wanted == 0 {
                watched.reply = None;
            }
            watched.waiting.is_empty()
        });
        if last.is_some() {
            self.watchers.count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(shuttle)]
#[cfg(test)]
mod races;

#[cfg(not(shuttle))]
#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready_eq, task::spawn};

    use super::*;
    use crate::operation::Ending;

    #[test]
    fn that_an_earlier_attempt_has_stopped_says_nothing_of_the_next_one() {
        let (watchers, id) = (Arc::new(Watchers::default()), OperationId::random());
        let watch = watchers.watch(id);
        watchers.stopped(id, 1);
        assert_ready_eq!(spawn(watch.stopped(1)).poll(), true);
        let mut second = spawn(watch.stopped(2));
        assert_pending!(second.poll());
        watchers.stopped(id, 2);
        assert!(second.is_woken());
        assert_ready_eq!(second.poll(), true);
    }

    #[test]
    fn a_reply_is_held_for_those_alone_who_want_it() {
        let (watchers, id) = (Arc::new(Watchers::default()), OperationId::random());
        let ended = || watchers.ended(id, Arc::new(Reply::none(Ending::Canceled)));
        let stream = watchers.watch(id);
        ended();
        assert_eq!(stream.reply(), None);
        let poll = watchers.watch_for_reply(id);
        assert_eq!(poll.reply(), None, "it was not watched yet");
        ended();
        assert!(poll.reply().is_some());
        drop(poll);
        assert_eq!(stream.reply(), None);
    }
}
