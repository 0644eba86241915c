//! The lease under which this replica runs operations: opened, kept alive, and opened anew when it was lost.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::Shared;
use crate::{
    operation::Refused,
    store::{Attempt, LeaseId, StoreError},
};

/// So many beats make up a lease: two may be missed.
const BEATS: u32 = 3;

/// Why a lease is kept no longer.
enum Lost {
    Lease,
    /// Something may be held under it that nobody here knows of.
    Trust,
    Closing,
}

impl Shared {
    pub(super) async fn keep_lease(self: Arc<Self>) {
        let mut former = None;
        while let Some(lease) = self.open().await {
            self.lease.send_replace(Some(lease));
            if let Some(former) = former.take() {
                // What it still holds, nobody runs.
                let _in_vain = self.store.close_lease(former).await;
            }
            match self.renew(lease).await {
                Lost::Closing => return,
                Lost::Trust => former = Some(lease),
                Lost::Lease => {
                    self.lease.send_replace(None);
                    warn!("the store counts this replica as dead: taking up a new lease");
                }
            }
        }
    }

    /// Opens a lease as soon as the store lets it, and brings along what runs. `None` once the application shuts down.
    async fn open(&self) -> Option<LeaseId> {
        let mut pause = Duration::from_millis(50);
        loop {
            let begun: HashSet<_> = self.runs.begun().into_iter().collect();
            let running = self.runs.attempts();
            match timeout(self.settings.lease, self.store.open_lease(self.settings.lease, running)).await {
                Ok(Ok(open)) => {
                    self.stop(open.lost.into_iter().filter(|lost| begun.contains(lost)));
                    info!(lease = open.id.0, "lease opened");
                    return Some(open.id);
                }
                Ok(Err(error)) => warn!(error = &error as &dyn std::error::Error, "no lease"),
                Err(_) => warn!("no lease: the store did not answer in time"),
            }
            self.closing.run_until_cancelled(sleep(pause)).await?;
            pause = (pause * 2).min(self.beat());
        }
    }

    async fn renew(&self, lease: LeaseId) -> Lost {
        let mut heard = Instant::now();
        let mut doubtful = false;
        loop {
            match self.closing.run_until_cancelled(timeout(self.beat(), self.doubt.notified())).await {
                None => return Lost::Closing,
                Some(Ok(())) => return Lost::Trust,
                Some(Err(_beat)) => {}
            }
            let asked = Instant::now();
            match timeout(self.beat(), self.store.renew(lease, self.runs.begun())).await {
                Ok(Ok(lost)) => {
                    self.stop(lost);
                    (heard, doubtful) = (asked, false);
                }
                Ok(Err(StoreError::Refused(Refused::LeaseOver))) => return Lost::Lease,
                Ok(Err(error)) => warn!(error = &error as &dyn std::error::Error, "lease not renewed"),
                Err(_) => warn!("lease not renewed: the store did not answer in time"),
            }
            // By now others may run it.
            if !doubtful && heard.elapsed() >= self.settings.lease {
                doubtful = true;
                self.lease.send_replace(None);
                self.runs.stop_durable();
            } else if !doubtful && self.lease.borrow().is_none() {
                self.lease.send_replace(Some(lease));
            }
        }
    }

    fn stop(&self, lost: impl IntoIterator<Item = Attempt>) {
        for attempt in lost {
            self.runs.stop(attempt);
        }
    }

    fn beat(&self) -> Duration {
        self.settings.lease / BEATS
    }
}
