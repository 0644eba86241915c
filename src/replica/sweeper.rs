//! Sweeping a shared store: any replica does it, a little at a time.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tracing::debug;

use super::{Event, Shared};
use crate::{store::Swept, telemetry};

const PERIOD: Duration = Duration::from_millis(500);

const SLICE: usize = 200;

/// How often the operations are counted, for those who watch.
const COUNT_PERIOD: Duration = Duration::from_secs(15);

impl Shared {
    /// Sweeps while this replica is sure of the store: after an outage the others, too, need time to be heard of again,
    /// or all that runs would count as lost. Those whose heartbeats it met sooner are nearer to the end of their leases
    /// than this one is.
    pub(super) async fn keep_sweeping(self: Arc<Self>) {
        let mut count_next = Instant::now();
        loop {
            sleep(PERIOD).await;
            if self.pulse.is_steady(self.settings.lease) {
                self.sweep().await;
            }
            if Instant::now() >= count_next
                && let Ok(counts) = self.ask(|| self.store.counts()).await
            {
                telemetry::counted(counts);
                count_next = Instant::now() + COUNT_PERIOD;
            }
        }
    }

    async fn sweep(&self) {
        loop {
            match self.ask(|| self.store.sweep(SLICE)).await {
                Ok(swept) => {
                    let more = swept.more;
                    self.tell_swept(swept);
                    if !more {
                        return;
                    }
                }
                Err(error) => {
                    debug!(error = &error as &dyn std::error::Error, "not swept");
                    return;
                }
            }
        }
    }

    fn tell_swept(&self, swept: Swept) {
        for (id, finished) in swept.ended {
            self.runs.stop_operation(id, finished.state);
            self.tell(Event::Ended { id, finished, reply: None, runner: None });
        }
        for id in swept.queued {
            self.tell(Event::Changed(id));
        }
        for id in swept.expired {
            self.tell(Event::Expired(id));
        }
    }
}
