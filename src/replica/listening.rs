//! What the store says by itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tracing::error;

use super::{Event, Shared};
use crate::{
    store::{Change, Listener},
    telemetry::quietly,
};

impl Shared {
    /// Hears of what others do, until the listener is dropped.
    pub(super) fn listen(&self) -> Listener {
        let (observer, queued) = (Arc::clone(&self.observer), Arc::clone(&self.queued));
        let listener: Listener = Arc::new(move |change| match change {
            Change::Operation(id) => observer(Event::Changed(id)),
            Change::Queued => queued.notify_one(),
            Change::Anything => {
                queued.notify_one();
                observer(Event::AnythingChanged);
            }
        });
        let announce = || self.store.announce_to(Arc::clone(&listener));
        if catch_unwind(AssertUnwindSafe(announce)).is_err() {
            quietly(|| error!("the store has panicked: what others do is found by asking alone"));
        }
        listener
    }
}
