//! What a worker takes from the store.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Admission, Hub, Operations, creation};
use crate::{
    replica::{Durability, Replica},
    store::{Claimed, StoreError},
    telemetry,
};

/// The right to claim queued operations.
pub(crate) struct Claims<'a> {
    hub: &'a Arc<Hub>,
    replica: &'a Replica,
}

impl Hub {
    /// `None` where there is nothing to claim, or no longer.
    pub(crate) fn claims(self: &Arc<Self>) -> Option<Claims<'_>> {
        match &self.operations {
            Operations::Shared(replica) if self.is_open() => Some(Claims { hub: self, replica }),
            Operations::Shared(_) | Operations::Here(_) => None,
        }
    }
}

impl Hub {
    async fn claim(self: &Arc<Self>, replica: &Replica, most: usize) -> Result<Vec<(Claimed, Admission)>, StoreError> {
        let Some(lease) = creation::lease(replica).await else { return Ok(Vec::new()) };
        let mut permits: Vec<_> = (0..most).map_while(|_| self.permits.acquire(None).ok()).collect();
        // Looked at now that a shutdown that begins would wait for the permits.
        let claimed = match self.is_open() && !permits.is_empty() {
            true => replica.claim(*lease, permits.len()).await,
            false => Ok(Vec::new()),
        };
        if claimed.as_ref().is_err_and(|error| !matches!(error, StoreError::Refused(_))) {
            // Something may have been begun all the same, and nobody would run it.
            replica.doubt();
        }
        let admitted = claimed.map(|claimed| {
            let admit = |mut claimed: Claimed| {
                let (attempt, created, permit) = (claimed.attempt, claimed.created, permits.pop()?);
                claimed.terms = self.known(claimed.terms);
                if !replica.expect(attempt, Durability::of(true, &claimed.terms)) {
                    permits.push(permit);
                    return None;
                }
                replica.stored(attempt);
                let permit = self.permits.assign(permit, claimed.owner.as_ref());
                telemetry::in_flight(1);
                Some((claimed, Admission::known(self, attempt, created, permit)))
            };
            claimed.into_iter().filter_map(admit).collect()
        });
        permits.into_iter().for_each(|permit| self.permits.release(permit));
        admitted
    }
}

impl Claims<'_> {
    /// Begins the next attempts of so many operations at most, as far as there are permits to run them.
    ///
    /// Cancel safe: what was begun and is not taken is handed back.
    pub(crate) async fn claim(&self, most: usize) -> Result<Vec<(Claimed, Admission)>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let hub = Arc::clone(self.hub);
        self.hub.spawn(async move {
            if let Operations::Shared(replica) = &hub.operations {
                let _unwanted = answer.send(hub.claim(replica, most).await);
            }
        });
        answered.await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Waits until the store says that something is queued.
    ///
    /// Cancel safe.
    pub(crate) async fn queued(&self) {
        self.replica.queued().await;
    }
}
