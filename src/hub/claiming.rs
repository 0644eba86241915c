//! What a worker takes from the store.

use std::sync::Arc;

use super::{Admission, Hub, Operations, acceptance};
use crate::{
    replica::Replica,
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

impl Claims<'_> {
    /// Begins the next attempts of so many operations at most, as far as there are permits to run them.
    pub(crate) async fn claim(&self, most: usize) -> Result<Vec<(Claimed, Admission)>, StoreError> {
        let mut permits: Vec<_> = (0..most).map_while(|_| self.hub.permits.acquire(None).ok()).collect();
        let claimed = match acceptance::lease(self.replica).await {
            Some(lease) if !permits.is_empty() => self.replica.store().claim(lease, permits.len()).await,
            _ => Ok(Vec::new()),
        };
        if let Err(StoreError::Unavailable(_)) = claimed {
            // Something may have been begun all the same, and nobody would run it.
            self.replica.doubt();
        }
        let admitted = claimed.map(|claimed| {
            let admit = |mut claimed: Claimed| {
                let (attempt, created, permit) = (claimed.attempt, claimed.created, permits.pop()?);
                claimed.terms = self.hub.known(claimed.terms);
                self.replica.expect(attempt, true);
                self.replica.stored(attempt);
                telemetry::in_flight(1);
                Some((claimed, Admission { attempt, created, permit }))
            };
            claimed.into_iter().filter_map(admit).collect()
        });
        permits.into_iter().for_each(|permit| self.hub.permits.release(permit));
        admitted
    }

    /// Waits until the store says that something is queued.
    ///
    /// Cancel safe.
    pub(crate) async fn queued(&self) {
        self.replica.queued().await;
    }
}
