//! The store's clock.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::operation::Timestamp;

/// Tells the time: the wall clock's when it was made, and from then on as the monotonic clock counts, so that a
/// correction of the wall clock neither prolongs nor shortens anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    epoch: Timestamp,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), epoch: Timestamp::from_millis(0).after(epoch) }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.epoch.after(self.started.elapsed())
    }
}
