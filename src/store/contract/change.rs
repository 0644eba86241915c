//! What a store says by itself.

use std::sync::Arc;

use crate::operation::OperationId;

/// Who is to be told of changes that others make. Called often, so it should be quick.
pub type Listener = Arc<dyn Fn(Change) + Send + Sync>;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// This operation: its state or its progress.
    Operation(OperationId),
    /// There is something to claim.
    Queued,
    /// Maybe anything: the store was not heard for a while.
    Anything,
}
