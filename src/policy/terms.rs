//! The terms on which a route's operations run.

use std::{sync::Arc, time::Duration};

use super::Policy;
use crate::http::retry_after::History;

/// What an operation takes with it from its route.
#[derive(Debug)]
pub struct Terms {
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

    /// The route's name: its pattern.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.name
    }

    /// How long an operation is kept after its end.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.policy.retention
    }

    /// How long an attempt may run, if that is limited.
    #[must_use]
    pub fn max_run_time(&self) -> Option<Duration> {
        self.policy.max_run_time
    }

    /// How many attempts may fail before a durable operation does.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.policy.max_attempts
    }

    /// How long a durable operation rests after so many attempts have failed: twice as long after each, up to an hour.
    #[must_use]
    pub fn backoff(&self, failures: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(60 * 60);
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.policy.backoff.saturating_mul(doubled).min(LONGEST)
    }

    /// The same terms, with what is known of how long the route's operations take.
    pub(crate) fn with_history(&self, history: Arc<History>) -> Self {
        Self { name: Arc::clone(&self.name), policy: self.policy.clone(), history }
    }

    /// The same route under another policy.
    pub(crate) fn with_policy(&self, policy: Policy) -> Self {
        Self { name: Arc::clone(&self.name), policy, history: Arc::clone(&self.history) }
    }
}
