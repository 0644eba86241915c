//! How an accepted operation comes into the store.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::timeout};

use super::{Acceptance, Accepted, Accepting, Admission, Declined, Hub, Operations, Permit};
use crate::{
    replica::{Durability, Replica, patience},
    store::{Attempt, Created, LeaseId, NewOperation, StoreError},
    telemetry,
};

/// How long a request waits for a replica that has just started, or was given up, to get a lease.
const LEASE: Duration = Duration::from_secs(1);

impl Hub {
    pub(super) fn create(self: &Arc<Self>, operation: NewOperation, permit: Permit) -> Result<Accepted, Declined> {
        let Operations::Here(store) = &self.operations else { return Err(self.release(permit, Declined::NoRuntime)) };
        let attempt = Attempt { operation: operation.id, number: 1 };
        match store.create(operation) {
            Ok(Created::New { at }) => {
                self.keep_sweeping();
                telemetry::in_flight(1);
                Ok(Accepted::Run(Admission::here(attempt, at, permit)))
            }
            Ok(Created::Existing(snapshot)) => {
                self.permits.release(permit);
                Ok(Accepted::Existing(Box::new(snapshot)))
            }
            Ok(Created::KeyTaken) => {
                self.permits.release(permit);
                Ok(Accepted::KeyTaken)
            }
            Err(error) => Err(self.release(permit, error.into())),
        }
    }

    fn release(&self, permit: Permit, declined: Declined) -> Declined {
        self.permits.release(permit);
        declined
    }

    /// In a task of its own, so that what is created is known to somebody, or taken back.
    pub(super) fn create_shared(self: &Arc<Self>, operation: NewOperation, permit: Option<Permit>) -> Accepting {
        let (answer, answered) = oneshot::channel();
        let hub = Arc::clone(self);
        self.tasks.spawn(async move {
            let Operations::Shared(replica) = &hub.operations else { return };
            let (id, owner, is_keyed) = (operation.id, operation.owner.clone(), operation.key.is_some());
            let accepted = hub.create_in(replica, operation, permit).await;
            if let Err(Ok(Accepted::Queued { .. })) = answer.send(accepted)
                && !is_keyed
            {
                replica.withdraw(Attempt { operation: id, number: 1 }, owner, Duration::ZERO);
            }
        });
        Accepting(answered)
    }

    async fn create_in(
        self: &Arc<Self>,
        replica: &Replica,
        operation: NewOperation,
        permit: Option<Permit>,
    ) -> Result<Accepted, Declined> {
        let (id, owner, is_keyed) = (operation.id, operation.owner.clone(), operation.key.is_some());
        let attempt = Attempt { operation: id, number: 1 };
        let created = match &permit {
            Some(_) => create_under_lease(replica, attempt, operation).await,
            None => queue(replica, attempt, operation).await,
        };
        match (created, permit) {
            (Ok(Created::New { at: created }), Some(permit)) => {
                telemetry::in_flight(1);
                Ok(Accepted::Run(match is_keyed {
                    true => Admission::known(self, attempt, created, permit),
                    false => Admission::created(self, attempt, owner, created, permit),
                }))
            }
            (created, permit) => {
                if let Some(permit) = permit {
                    self.permits.release(permit);
                }
                created.map(|created| match created {
                    Created::New { at: created } => {
                        replica.tell_queued();
                        Accepted::Queued { id, created }
                    }
                    Created::Existing(snapshot) => Accepted::Existing(Box::new(self.completed(snapshot))),
                    Created::KeyTaken => Accepted::KeyTaken,
                })
            }
        }
    }
}

impl Hub {
    /// What came before under the key of an operation for which there is no room: what is there already needs none.
    pub(super) fn recall(self: &Arc<Self>, operation: NewOperation, declined: Declined) -> Acceptance {
        match &self.operations {
            Operations::Here(store) => Acceptance::Now(match store.recall(&operation) {
                Some(Created::Existing(snapshot)) => Ok(Accepted::Existing(Box::new(snapshot))),
                Some(Created::KeyTaken) => Ok(Accepted::KeyTaken),
                Some(Created::New { .. }) | None => Err(declined),
            }),
            Operations::Shared(_) if self.tasks.can_spawn() => {
                Acceptance::Later(self.recall_shared(operation, declined))
            }
            Operations::Shared(_) => Acceptance::Now(Err(declined)),
        }
    }

    fn recall_shared(self: &Arc<Self>, operation: NewOperation, declined: Declined) -> Accepting {
        let (answer, answered) = oneshot::channel();
        let hub = Arc::clone(self);
        self.tasks.spawn(async move {
            let Operations::Shared(replica) = &hub.operations else { return };
            let lookup = NewOperation { request: None, lease: Some(LeaseId::NONE), ..operation };
            let _unwanted = answer.send(match replica.create(lookup).await {
                Ok(Created::Existing(snapshot)) => Ok(Accepted::Existing(Box::new(hub.completed(snapshot)))),
                Ok(Created::KeyTaken) => Ok(Accepted::KeyTaken),
                Err(StoreError::Unavailable(_)) => Err(Declined::StoreUnavailable),
                Ok(Created::New { .. }) | Err(_) => Err(declined),
            });
        });
        Accepting(answered)
    }
}

async fn queue(replica: &Replica, attempt: Attempt, operation: NewOperation) -> Result<Created, Declined> {
    drop(heard(replica, &operation).await?);
    let (owner, is_keyed, patience) = (operation.owner.clone(), operation.key.is_some(), patience(&operation));
    let created = replica.create(operation).await;
    if matches!(created, Err(StoreError::Unavailable(_))) && !is_keyed {
        // It may be queued all the same, and nobody knows of it.
        replica.withdraw(attempt, owner, patience);
    }
    Ok(created?)
}

async fn create_under_lease(replica: &Replica, attempt: Attempt, operation: NewOperation) -> Result<Created, Declined> {
    let lease = heard(replica, &operation).await?;
    let (owner, is_keyed, patience) = (operation.owner.clone(), operation.key.is_some(), patience(&operation));
    let _always = replica.expect(attempt, Durability::of(operation.request.is_some(), &operation.terms));
    let operation = NewOperation { lease: Some(*lease), ..operation };
    let created = if is_keyed { replica.create_keyed(operation).await } else { replica.create(operation).await };
    match &created {
        Ok(Created::New { .. }) => replica.stored(attempt),
        // It may be there all the same, now or in a moment, and others may have been told of it by its key: so it is
        // left to the end of the lease.
        Err(StoreError::Unavailable(_)) if is_keyed => {
            replica.dismiss(attempt);
            replica.doubt();
        }
        // The same, but nobody knows of it.
        Err(StoreError::Unavailable(_)) => {
            replica.withdraw(attempt, owner, patience);
            replica.doubt();
        }
        Ok(Created::Existing(_) | Created::KeyTaken) | Err(_) => replica.dismiss(attempt),
    }
    Ok(created?)
}

/// The lease, by which the store has heard of this replica lately. A store that is away is not asked to create what
/// could not be taken back.
async fn heard(replica: &Replica, operation: &NewOperation) -> Result<Arc<LeaseId>, Declined> {
    let can_create = operation.key.is_some() || replica.can_withdraw();
    let lease = if can_create { lease(replica).await } else { None };
    lease.ok_or(Declined::StoreUnavailable)
}

pub(super) async fn lease(replica: &Replica) -> Option<Arc<LeaseId>> {
    timeout(LEASE, replica.lease()).await.ok().flatten()
}
