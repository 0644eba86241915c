//! How operations end: by themselves, on demand, or because time is up.

use std::sync::Arc;

use super::{Hub, Operations};
use crate::{
    operation::{Ending, Failure, OperationId, Owner, Reply, State},
    replica::{Event, Stop},
    run::Runner,
    store::{Attempt, Canceled, Cancellation, Ended, Finished, StoreFuture},
    telemetry,
};

/// What came of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// What runs here has been told to stop: the attempt of this number.
    Stopping {
        attempt: u32,
    },
    /// It is canceled, and whoever runs it elsewhere will learn of it.
    Told,
    /// Nothing runs, or nothing any more.
    Stopped,
    AlreadyEnded,
    Unknown,
}

impl Hub {
    /// Ends the run of an operation with this reply, unless the operation has ended already.
    pub(crate) fn finish(&self, attempt: Attempt, reply: Reply) {
        match &self.operations {
            Operations::Here(store) => {
                if let Some(Ended { finished, runner }) = store.finish(attempt.operation, reply) {
                    self.announce(attempt.operation, &finished, None, runner.as_ref());
                }
            }
            Operations::Shared(replica) => replica.end(attempt, reply),
        }
    }

    /// Ends an operation in this process that its task can no longer end, and stops the task.
    pub(super) fn end(&self, id: OperationId, failure: Failure) {
        let Operations::Here(store) = &self.operations else { return };
        if let Some(Ended { finished, runner }) = store.finish(id, Reply::none(Ending::Failed(failure))) {
            self.announce(id, &finished, None, runner.as_ref());
            abort(runner);
        }
    }

    /// Ends an operation on demand, and stops its task.
    pub(crate) fn cancel(self: &Arc<Self>, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancel> {
        match &self.operations {
            Operations::Here(store) => StoreFuture::ready(Ok(match store.cancel(id, owner) {
                Canceled::Now(Ended { finished, runner }) => {
                    self.announce(id, &finished, None, runner.as_ref());
                    abort(runner);
                    Cancel::Stopping { attempt: 1 }
                }
                Canceled::AlreadyEnded => Cancel::AlreadyEnded,
                Canceled::Unknown => Cancel::Unknown,
            })),
            Operations::Shared(replica) => {
                let hub = Arc::clone(self);
                replica.cancel(id, owner).map(move |cancellation| hub.canceled(id, cancellation))
            }
        }
    }

    fn canceled(&self, id: OperationId, cancellation: Cancellation) -> Cancel {
        let Operations::Shared(replica) = &self.operations else { return Cancel::Unknown };
        match cancellation {
            Cancellation::Canceled(finished) => {
                self.announce(id, &finished, None, None);
                match (replica.stop(id, finished.state), finished.ran) {
                    (Stop::Begun { attempt }, _) => Cancel::Stopping { attempt },
                    (Stop::Elsewhere, true) => Cancel::Told,
                    (Stop::Over, _) | (Stop::Elsewhere, false) => Cancel::Stopped,
                }
            }
            Cancellation::AlreadyEnded => Cancel::AlreadyEnded,
            Cancellation::Unknown => Cancel::Unknown,
        }
    }

    /// What is told of the operations in a shared store.
    pub(super) fn observe(&self, event: Event) {
        match event {
            Event::Ended { id, finished, reply, runner } => {
                self.announce(id, &finished, reply, runner.as_ref());
            }
            Event::Changed(id) => self.watchers.changed(id),
            Event::AnythingChanged => self.watchers.all_changed(),
            Event::Expired(id) => {
                self.watchers.changed(id);
                telemetry::expired(id);
            }
        }
    }

    fn announce(&self, id: OperationId, finished: &Finished, reply: Option<Arc<Reply>>, runner: Option<&Runner>) {
        if finished.state != State::Canceled {
            match &self.operations {
                Operations::Here(_) => finished.terms.history.record(finished.run_time),
                Operations::Shared(_) => self.history(&finished.terms.name).record(finished.run_time),
            }
        }
        if let Some(runner) = runner {
            runner.ended(Some(finished.state));
        }
        telemetry::quietly(|| telemetry::finished(id, finished));
        match reply {
            Some(reply) => self.watchers.ended(id, reply),
            None => self.watchers.changed(id),
        }
    }
}

fn abort(runner: Option<Runner>) {
    if let Some(runner) = runner {
        runner.abort();
    }
}
