//! The right to start an operation, which goes back if nobody does.

use std::{sync::Arc, time::Duration};

use super::{Hub, Operations, Permit};
use crate::{
    operation::{Ending, Failure, Owner, Reply, Timestamp},
    store::Attempt,
};

/// An operation that is in the store, and is to be started at once.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) attempt: Attempt,
    pub(crate) created: Timestamp,
    held: Held,
}

/// The permit of an operation that has not been started.
#[derive(Debug)]
enum Held {
    Permit(Permit),
    Shared(Unstarted),
}

/// What is in a shared store and may yet come to nobody who starts it. Dropping this takes it back, or hands it back
/// where others may know of it.
#[derive(Debug)]
struct Unstarted {
    hub: Arc<Hub>,
    attempt: Attempt,
    /// Absent once it is started.
    permit: Option<Permit>,
    /// How it came into the store.
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Created {
        owner: Option<Owner>,
    },
    /// Others may know of it: it was queued before, or has a key.
    Known,
}

impl Admission {
    /// Of an operation in this process, where whoever accepts it starts it.
    pub(super) fn here(attempt: Attempt, created: Timestamp, permit: Permit) -> Self {
        Self { attempt, created, held: Held::Permit(permit) }
    }

    /// Of an operation that has come into a shared store, and that nobody else knows of.
    pub(super) fn created(
        hub: &Arc<Hub>,
        attempt: Attempt,
        owner: Option<Owner>,
        created: Timestamp,
        permit: Permit,
    ) -> Self {
        Self::unstarted(hub, attempt, created, permit, Origin::Created { owner })
    }

    /// Of an attempt that others may know of.
    pub(super) fn known(hub: &Arc<Hub>, attempt: Attempt, created: Timestamp, permit: Permit) -> Self {
        Self::unstarted(hub, attempt, created, permit, Origin::Known)
    }

    fn unstarted(hub: &Arc<Hub>, attempt: Attempt, created: Timestamp, permit: Permit, origin: Origin) -> Self {
        let unstarted = Unstarted { hub: Arc::clone(hub), attempt, permit: Some(permit), origin };
        Self { attempt, created, held: Held::Shared(unstarted) }
    }

    /// Somebody starts it.
    pub(crate) fn begin(self) -> Permit {
        match self.held {
            Held::Permit(permit) => permit,
            Held::Shared(mut unstarted) => unstarted.permit.take().unwrap_or_default(),
        }
    }
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if let Operations::Shared(replica) = &self.hub.operations {
            match &mut self.origin {
                Origin::Created { owner } => replica.withdraw(self.attempt, owner.take(), Duration::ZERO),
                Origin::Known => replica.end(self.attempt, Reply::none(Ending::Failed(Failure::Interrupted))),
            }
        }
        self.hub.stopped(self.attempt, permit);
    }
}
