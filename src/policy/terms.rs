//! The terms on which a route's operations run.

use std::sync::Arc;

use super::Policy;
use crate::http::retry_after::History;

/// What an operation takes with it from its route.
#[derive(Debug)]
pub(crate) struct Terms {
    /// The route's name, for those who watch: its pattern.
    pub(crate) name: Arc<str>,
    pub(crate) policy: Policy,
    /// How long the route's operations have been taking.
    pub(crate) history: Arc<History>,
}

impl Terms {
    pub(crate) fn new(name: Arc<str>, policy: Policy) -> Self {
        Self { name, policy, history: Arc::default() }
    }

    /// The same route under another policy.
    pub(crate) fn with_policy(&self, policy: Policy) -> Self {
        Self { name: Arc::clone(&self.name), policy, history: Arc::clone(&self.history) }
    }
}
