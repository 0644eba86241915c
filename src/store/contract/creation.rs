//! What is asked of a store when an operation comes to be, and what comes of that.

use std::sync::Arc;

use super::{LeaseId, Snapshot};
use crate::{
    operation::{Key, Life, OperationId, Owner, StoredRequest, Timestamp},
    policy::Terms,
};

/// An operation to be created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewOperation {
    /// Its name, made at random.
    pub id: OperationId,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The terms on which it runs.
    pub terms: Arc<Terms>,
    /// What a client named it by, so that it is created once however often it is asked for.
    pub key: Option<Key>,
    /// For durable execution: what any replica needs to run it.
    pub request: Option<StoredRequest>,
    /// The lease of whoever runs it at once. Without one, it is queued if there is a request to run, and else runs in
    /// this process for as long as the store itself lives.
    pub lease: Option<LeaseId>,
}

impl NewOperation {
    /// An operation of nobody, without a key, a request and a lease.
    #[must_use]
    pub fn new(id: OperationId, terms: Arc<Terms>) -> Self {
        Self { id, owner: None, terms, key: None, request: None, lease: None }
    }

    /// How its life begins.
    #[must_use]
    pub fn life(&self) -> Life {
        if self.request.is_some() && self.lease.is_none() { Life::QUEUED } else { Life::RUNNING }
    }
}

/// What came of a [`Store::create`](super::Store::create).
#[derive(Debug)]
#[non_exhaustive]
pub enum Created {
    /// It is there now.
    New {
        /// When it was created.
        at: Timestamp,
    },
    /// The same request came under the same key before, and became this.
    Existing(Snapshot),
    /// Another request came under the same key before.
    KeyTaken,
}
