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
        let mut heard = None;
        while let Some(lease) = self.open(&mut heard).await {
            self.lease.send_replace(Some(lease));
            if let Some(former) = former.take() {
                // What it still holds, nobody runs. Where the store does not hear of that now, it does when the lease is over.
                let _in_vain = timeout(self.beat(), self.store.close_lease(former)).await;
            }
            match self.renew(lease, &mut heard).await {
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
    async fn open(&self, heard: &mut Option<Instant>) -> Option<LeaseId> {
        let mut pause = Duration::from_millis(50);
        loop {
            let (asked, running) = (Instant::now(), self.runs.expected());
            let stored: HashSet<_> = self.runs.attempts().into_iter().collect();
            match timeout(self.beat(), self.store.open_lease(self.settings.lease, running)).await {
                Ok(Ok(open)) => {
                    *heard = Some(asked);
                    self.stop(open.lost.into_iter().filter(|lost| stored.contains(lost)));
                    info!(lease = open.id.0, "lease opened");
                    return Some(open.id);
                }
                Ok(Err(error)) => warn!(error = &error as &dyn std::error::Error, "no lease"),
                Err(_) => warn!("no lease: the store did not answer in time"),
            }
            self.rest_if_unheard(*heard);
            self.closing.run_until_cancelled(sleep(pause)).await?;
            pause = (pause * 2).min(self.beat());
        }
    }

    async fn renew(&self, lease: LeaseId, heard: &mut Option<Instant>) -> Lost {
        loop {
            match self.closing.run_until_cancelled(timeout(self.beat(), self.doubt.notified())).await {
                None => return Lost::Closing,
                Some(Ok(())) => return Lost::Trust,
                Some(Err(_beat)) => {}
            }
            let asked = Instant::now();
            match timeout(self.beat(), self.store.renew(lease, self.runs.attempts())).await {
                Ok(Ok(lost)) => {
                    self.stop(lost);
                    *heard = Some(asked);
                    self.lease.send_if_modified(|held| held.replace(lease).is_none());
                }
                Ok(Err(StoreError::Refused(Refused::LeaseOver))) => return Lost::Lease,
                Ok(Err(error)) => warn!(error = &error as &dyn std::error::Error, "lease not renewed"),
                Err(_) => warn!("lease not renewed: the store did not answer in time"),
            }
            self.rest_if_unheard(*heard);
        }
    }

    /// Runs nothing that others may run by now, as the store has not heard of this replica for the length of a lease.
    fn rest_if_unheard(&self, heard: Option<Instant>) {
        let unheard = heard.is_none_or(|heard| heard.elapsed() >= self.settings.lease);
        if unheard && self.lease.send_if_modified(|held| held.take().is_some()) {
            self.runs.stop_durable();
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
