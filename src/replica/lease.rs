//! The lease under which this replica runs operations: opened, kept alive, and opened anew when it was lost.

use std::{collections::HashSet, mem, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{info, warn};

use super::Shared;
use crate::{
    operation::Refused,
    store::{Attempt, LeaseId, StoreError},
    telemetry::quietly,
};

impl Shared {
    pub(super) async fn keep_lease(self: Arc<Self>) {
        loop {
            let lease = self.open().await;
            self.lease.send_replace(Some(Arc::clone(&lease)));
            self.renew(lease).await;
            self.lease.send_replace(None);
            quietly(|| warn!("the store counts this replica as dead: taking up a new lease"));
        }
    }

    /// Opens a lease as soon as the store lets it.
    async fn open(&self) -> Arc<LeaseId> {
        let mut pause = Duration::from_millis(50);
        loop {
            if let Some(lease) = self.try_open().await {
                return lease;
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.beat());
        }
    }

    /// Opens a lease, and brings along what runs.
    async fn try_open(&self) -> Option<Arc<LeaseId>> {
        let (asked, running, stored) = self.now();
        match self.ask_quickly(|| self.store.open_lease(self.settings.lease, running)).await {
            Ok(open) => {
                self.pulse.heard(asked);
                self.stop(open.lost, &stored);
                quietly(|| info!(lease = open.id.0, "lease opened"));
                Some(Arc::new(open.id))
            }
            Err(error) => {
                quietly(|| warn!(error = &error as &dyn std::error::Error, "no lease"));
                self.rest_if_unheard();
                None
            }
        }
    }

    /// Keeps it until it is over. Where something may be held under it that nobody here knows of, another takes its
    /// place; until there is one, it is kept. So it is after a heartbeat that failed, too: a store that was away may
    /// have come back as it was some moments before.
    async fn renew(&self, mut lease: Arc<LeaseId>) {
        let (mut former, mut in_doubt) = (Vec::<Arc<LeaseId>>::new(), false);
        let mut next_beat = Instant::now() + self.beat();
        loop {
            match in_doubt {
                true => sleep_until(next_beat).await,
                false => in_doubt = timeout_at(next_beat, self.doubt.notified()).await.is_ok(),
            }
            next_beat = Instant::now() + self.beat();
            if in_doubt && let Some(next) = self.try_open().await {
                self.lease.send_replace(Some(Arc::clone(&next)));
                former.push(mem::replace(&mut lease, next));
                in_doubt = false;
            }
            // Once all that was asked for under one has been answered, this brings along all of it that is known here.
            let settled: Vec<_> =
                former.iter().filter(|former| Arc::strong_count(former) == 1).map(|former| **former).collect();
            match self.beat_once(&lease).await {
                Ok(()) => {
                    former.retain(|former| !settled.contains(former));
                    for lease in settled {
                        // What it still holds, nobody runs. Where the store does not hear of that now, it does when it
                        // is over.
                        let _in_vain = self.ask_quickly(|| self.store.close_lease(lease)).await;
                    }
                }
                Err(StoreError::Refused(Refused::LeaseOver)) => return,
                Err(error) => {
                    quietly(|| warn!(error = &error as &dyn std::error::Error, "lease not renewed"));
                    self.rest_if_unheard();
                    in_doubt = true;
                }
            }
        }
    }

    async fn beat_once(&self, lease: &Arc<LeaseId>) -> Result<(), StoreError> {
        let (asked, running, stored) = self.now();
        let lost = self.ask_quickly(|| self.store.renew(**lease, running)).await?;
        self.pulse.heard(asked);
        self.stop(lost, &stored);
        self.lease.send_if_modified(|held| held.replace(Arc::clone(lease)).is_none());
        Ok(())
    }

    /// What runs at this moment: all that may be in the store or come there, and which of it is known to be there.
    fn now(&self) -> (Instant, Vec<Attempt>, HashSet<Attempt>) {
        let stored = self.runs.attempts().into_iter().collect();
        (Instant::now(), self.runs.expected(), stored)
    }

    /// A heartbeat has failed. Runs nothing that others may run by now, where the store has not heard of this replica
    /// for the length of a lease.
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
