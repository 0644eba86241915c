//! The principal an operation belongs to.

use std::{fmt, sync::Arc};

/// The principal an operation belongs to: whatever text tells one caller from another in the application, such as a
/// user's or a tenant's id.
///
/// Cheap to clone. `Debug` does not print it, since it may well be a person's name.
// A thin pointer: it is stored with every operation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<String>);

impl Owner {
    /// An owner by its name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Arc::new(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Owner(..)")
    }
}

impl<T: Into<String>> From<T> for Owner {
    fn from(name: T) -> Self {
        Self::new(name)
    }
}
