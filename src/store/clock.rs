//! The store's clock, in this process or in a server.

use std::time::{Duration, Instant, SystemTime};

use tokio::time;

use crate::operation::Timestamp;

/// Tells the time: the wall clock's when it was made, and from then on as the monotonic clock counts, so that a
/// correction of the wall clock neither prolongs nor shortens anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Started,
    epoch: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum Started {
    ByRuntime(time::Instant),
    BySystem(Instant),
}

impl Clock {
    /// Counts as tokio does, whose clock stands still in some tests.
    pub(crate) fn new() -> Self {
        Self::since(Started::ByRuntime(time::Instant::now()))
    }

    /// Counts on in any case. For those who ask from several runtimes, each of which may have its own time in tests.
    pub(crate) fn of_system() -> Self {
        Self::since(Started::BySystem(Instant::now()))
    }

    fn since(started: Started) -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started, epoch: Timestamp::from_millis(0).after(epoch) }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.epoch.after(self.started.elapsed())
    }
}

impl Started {
    fn elapsed(self) -> Duration {
        match self {
            Self::ByRuntime(started) => started.elapsed(),
            Self::BySystem(started) => started.elapsed(),
        }
    }
}

/// The moment by which a server's leases are judged: its own time when it was asked for that. As long as it stood
/// still, what would have renewed them was waiting for it, too.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) async fn moment_of_asking<E>(told: impl Future<Output = Result<Timestamp, E>>) -> Result<Timestamp, E> {
    /// What a server that is well may take. A lease is at least four times as long, and renewed three times in that.
    const USUAL: Duration = Duration::from_millis(250);
    let asked = Instant::now();
    let now = told.await?;
    Ok(now.before(asked.elapsed().saturating_sub(USUAL)))
}
