//! What holds for all operations of a hub.

use std::{fmt, sync::Arc};

use http::request;

use crate::operation::Owner;

pub(crate) type OwnerOf = Arc<dyn Fn(&request::Parts) -> Option<Owner> + Send + Sync>;

pub(crate) struct Settings {
    /// Path-absolute, without a slash at its end.
    pub(crate) base_path: Box<str>,
    /// A scheme, a host and maybe a path, without a slash at its end.
    pub(crate) public_url: Option<Box<str>>,
    pub(crate) trust_forwarded: bool,
    pub(crate) owner_of: Option<OwnerOf>,
    pub(crate) max_operations: usize,
    pub(crate) max_operations_per_owner: usize,
    /// Leaves durable operations to others.
    pub(crate) only_accepts: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("base_path", &self.base_path)
            .field("public_url", &self.public_url)
            .field("trust_forwarded", &self.trust_forwarded)
            .field("max_operations", &self.max_operations)
            .field("max_operations_per_owner", &self.max_operations_per_owner)
            .finish_non_exhaustive()
    }
}
