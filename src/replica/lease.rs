//! The lease under which this replica runs operations: opened, kept alive, and opened anew when it was lost.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::Shared;
use crate::{
    operation::Refused,
    store::{Attempt, LeaseId, StoreError},
    telemetry::quietly,
};

/// Why a lease is kept no longer.
enum Lost {
    Lease,
    /// Something may be held under it that nobody here knows of.
    Trust,
}

impl Shared {
    pub(super) async fn keep_lease(self: Arc<Self>) {
        let mut former = None;
        loop {
            let lease = self.open().await;
            self.lease.send_replace(Some(lease));
            match self.renew(lease, former.take()).await {
                Lost::Trust => former = Some(lease),
                Lost::Lease => {
                    self.lease.send_replace(None);
                    quietly(|| warn!("the store counts this replica as dead: taking up a new lease"));
                }
            }
        }
    }

    /// Opens a lease as soon as the store lets it, and brings along what runs.
    async fn open(&self) -> LeaseId {
        let mut pause = Duration::from_millis(50);
        loop {
            let (asked, running, stored) = self.now();
            match self.ask_quickly(|| self.store.open_lease(self.settings.lease, running)).await {
                Ok(open) => {
                    self.pulse.heard(asked);
                    self.stop(open.lost, &stored);
                    quietly(|| info!(lease = open.id.0, "lease opened"));
                    return open.id;
                }
                Err(error) => quietly(|| warn!(error = &error as &dyn std::error::Error, "no lease")),
            }
            self.rest_if_unheard();
            sleep(pause).await;
            pause = (pause * 2).min(self.beat());
        }
    }

    /// Keeps it, and closes the former one once what was being created under that has been taken over.
    async fn renew(&self, lease: LeaseId, mut former: Option<LeaseId>) -> Lost {
        loop {
            if timeout(self.beat(), self.doubt.notified()).await.is_ok() {
                return Lost::Trust;
            }
            let (asked, running, stored) = self.now();
            match self.ask_quickly(|| self.store.renew(lease, running)).await {
                Ok(lost) => {
                    self.pulse.heard(asked);
                    self.stop(lost, &stored);
                    self.lease.send_if_modified(|held| held.replace(lease).is_none());
                    if let Some(former) = former.take() {
                        // What it still holds, nobody runs. Where the store does not hear of that now, it does when it is over.
                        let _in_vain = self.ask_quickly(|| self.store.close_lease(former)).await;
                    }
                }
                Err(StoreError::Refused(Refused::LeaseOver)) => return Lost::Lease,
                Err(error) => {
                    quietly(|| warn!(error = &error as &dyn std::error::Error, "lease not renewed"));
                    self.rest_if_unheard();
                }
            }
        }
    }

    /// What runs at this moment: all that may be in the store or come there, and which of it is known to be there.
    fn now(&self) -> (Instant, Vec<Attempt>, HashSet<Attempt>) {
        let stored = self.runs.attempts().into_iter().collect();
        (Instant::now(), self.runs.expected(), stored)
    }

    /// A heartbeat has failed. Runs nothing that others may run by now, where the store has not heard of this replica for the
    /// length of a lease.
    fn rest_if_unheard(&self) {
        self.pulse.missed();
        if self.pulse.is_silent(self.settings.lease) && self.lease.send_if_modified(|held| held.take().is_some()) {
            self.runs.stop_durable();
        }
    }

    /// Stops what was lost; what was not there yet is not lost.
    fn stop(&self, lost: Vec<Attempt>, stored: &HashSet<Attempt>) {
        lost.into_iter().filter(|lost| stored.contains(lost)).for_each(|lost| self.runs.stop(lost));
    }
}
