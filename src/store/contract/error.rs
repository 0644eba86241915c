//! Why a store does not do what it is asked for.

use crate::operation::Refused;

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operation is not, or no longer, in a state for this.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no room for another operation.
    #[error("the store is full")]
    Full,
    /// The store cannot be reached, or not now. What was asked for may be done all the same.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the store holds cannot be understood, as after a return to an older release.
    #[error("the store holds what this release cannot read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store cannot do this as it is set up.
    #[error("the store does not support this: {0}")]
    Unsupported(&'static str),
}
