//! Attempts, and the leases under which they run.

use std::sync::Arc;

use crate::{
    operation::{OperationId, Owner, StoredRequest, Timestamp},
    policy::Terms,
};

/// A run of an operation: its id and the number of the claim, which fences the run's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// The operation.
    pub operation: OperationId,
    /// 1 for the first.
    pub number: u32,
}

/// The name of a lease, unique in its store for ever: 1 at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// The name of none: what is to be created under it never is.
    pub const NONE: Self = Self(0);
}

/// A lease that was opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenLease {
    /// Its name.
    pub id: LeaseId,
    /// The attempts that could not be brought along.
    pub lost: Vec<Attempt>,
}

impl OpenLease {
    /// A lease under which all was brought along but these.
    #[must_use]
    pub fn new(id: LeaseId, lost: Vec<Attempt>) -> Self {
        Self { id, lost }
    }
}

/// An operation whose next attempt was begun.
#[derive(Debug)]
#[non_exhaustive]
pub struct Claimed {
    /// The attempt.
    pub attempt: Attempt,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The terms on which it runs.
    pub terms: Arc<Terms>,
    /// When the operation was created.
    pub created: Timestamp,
    /// What to run.
    pub request: StoredRequest,
}

impl Claimed {
    /// An attempt of nobody's operation.
    #[must_use]
    pub fn new(attempt: Attempt, terms: Arc<Terms>, created: Timestamp, request: StoredRequest) -> Self {
        Self { attempt, owner: None, terms, created, request }
    }
}
