//! A worker: takes queued operations from the store, and runs them by the application's own service.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tower_service::Service;
use tracing::debug;

use crate::{
    hub::Hub,
    layer::{MapServiceError, ServiceErrorProblem, StoredBody, run_stored},
};

/// How often the store is asked for something to run, in case it has not said that there is.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How long to leave a store alone that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// So many operations are claimed at once, at most.
const AT_ONCE: usize = 64;

/// Runs queued operations, here and now: those for which there was no room where they were accepted, and those whose
/// process died. Made by [`Operations::worker`](crate::Operations::worker).
///
/// Each is run at least once, by the service that would have answered its request: its method, target, headers and body
/// are those that were stored, without credentials. Its body is a [`StoredBody`], which an axum router takes as it
/// takes any; a service that insists on a body type of its own is given it by a mapping in between. Who sent it is not
/// asked again: its [`Owner`](crate::Owner), where it has one, is in the request's extensions, and authentication
/// belongs outside of the service.
#[must_use = "a worker does nothing unless it runs"]
pub struct Worker<S, M = ServiceErrorProblem> {
    hub: Arc<Hub>,
    service: S,
    service_error: M,
    concurrency: usize,
}

impl<S> Worker<S> {
    pub(crate) fn new(hub: Arc<Hub>, service: S) -> Self {
        Self { hub, service, service_error: ServiceErrorProblem, concurrency: 16 }
    }
}

impl<S, M> Worker<S, M> {
    /// Replaces what stands in for the reply when the service returns an error: what [the
    /// layer's](crate::RespondAsyncLayer::map_service_error) is for what runs where it was accepted. By default the
    /// error is logged, and the reply is a problem document that does not repeat it.
    ///
    /// It is called for each attempt that fails so, and its reply is kept only where the policy allows no more than
    /// [one](crate::Policy::max_attempts): otherwise the operation is tried again, and its end is that of its attempts.
    pub fn map_service_error<N>(self, service_error: N) -> Worker<S, N> {
        let Self { hub, service, service_error: _, concurrency } = self;
        Worker { hub, service, service_error, concurrency }
    }

    /// How many operations it runs at once; 16 by default. Those that were accepted here and never queued do not count.
    pub fn concurrency(mut self, operations: usize) -> Self {
        self.concurrency = operations;
        self
    }

    /// Runs until [`Operations::drain`](crate::Operations::drain) begins. What it still runs then is handed back when
    /// the drain's grace is over, and goes on elsewhere at once.
    ///
    /// To be spawned. Dropping it ends the claims, and nothing that runs: what was claimed and not begun is handed
    /// back. Without a [store](crate::OperationsBuilder::store) outside this process there is nothing to claim, and it
    /// ends at once.
    pub async fn run<RB>(self)
    where
        S: Service<Request<StoredBody>, Response = Response<RB>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        RB: Body + Send + 'static,
        M: MapServiceError<S::Error> + Clone + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.concurrency.max(1)));
        let mut was_told = false;
        while let Some(claims) = self.hub.claims() {
            let Some(mut free) = take_places(&places).await else { return };
            let wanted = free.num_permits();
            match claims.claim(wanted).await {
                Ok(claimed) => {
                    // Whoever is told of what is queued is told of what follows, too: it need not be looked for.
                    let can_wait = claimed.is_empty() || was_told && claimed.len() < wanted;
                    for (claimed, admission) in claimed {
                        let place = free.split(1);
                        let (service, service_error) = (self.service.clone(), self.service_error.clone());
                        run_stored(&self.hub, claimed, admission, service, service_error, place);
                    }
                    drop(free);
                    was_told = can_wait && timeout(ASK_AGAIN, claims.queued()).await.is_ok();
                }
                Err(error) => {
                    debug!(error = &error as &dyn Error, "nothing claimed");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Takes what places are free, and one at least.
async fn take_places(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let mut taken = Arc::clone(places).acquire_owned().await.ok()?;
    let more = u32::try_from(places.available_permits().min(AT_ONCE - 1)).unwrap_or(0);
    if let Ok(more) = Arc::clone(places).try_acquire_many_owned(more) {
        taken.merge(more);
    }
    Some(taken)
}

impl<S: fmt::Debug, M> fmt::Debug for Worker<S, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("service", &self.service)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
