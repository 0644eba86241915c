//! Which rules hold for this request: the policy of a route, the table of routes, and their configuration.

mod choices;
#[cfg(feature = "config")]
mod config;
mod detached;
#[cfg(feature = "durable")]
mod durable;
#[cfg(feature = "grpc")]
mod grpc;
mod limit;
mod methods;
#[cfg(feature = "grpc")]
mod protobuf_names;
#[cfg(feature = "durable")]
mod record;
mod route_errors;
mod routes;
mod table;
mod terms;

use std::{sync::Arc, time::Duration};

use ::http::Method;

#[cfg(feature = "durable")]
pub use choices::Execution;
#[cfg(feature = "grpc")]
pub use choices::OnBudget;
pub use choices::{Completion, OnDisconnect};
#[cfg(feature = "config")]
pub use config::Config;
pub use limit::{AtLimit, Limit};
#[cfg(feature = "grpc")]
pub(crate) use protobuf_names::{is_full_name, is_method_path};
pub use route_errors::{RouteError, RoutesErrors};
pub use routes::{Routes, RoutesBuilder};
pub(crate) use table::Table;
pub use terms::Terms;

use limit::AtLimits;
use methods::MethodSet;
use route_errors::RouteFault;

/// The rules for a route: when a request is detached, how long it may run, how its reply is kept.
///
/// Each rule has a default, so only those that differ need to be said:
///
/// ```
/// use std::time::Duration;
/// use tower_respond_async::{AtLimit, Limit, Policy};
///
/// let policy = Policy::new()
///     .budget(Duration::from_millis(300))
///     .max_run_time(Duration::from_secs(15 * 60))
///     .at_limit(Limit::Operations, AtLimit::Unavailable);
/// ```
///
/// A policy is used alone, for every path, or in a table of [`Routes`].
///
/// One under which every operation would be lost cannot be kept to: with a longest run time, a retention or a largest
/// reply of zero. In a table and in a configuration that is an error at start-up; a policy alone is logged as an error
/// and holds for no request, so that all stay in line. One in a request's extensions holds for none either.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub(crate) methods: MethodSet,
    pub(crate) budget: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) longest_wait: Duration,
    pub(crate) honor_respond_async: bool,
    pub(crate) honor_wait: bool,
    pub(crate) honor_idempotency_key: bool,
    pub(crate) max_run_time: Option<Duration>,
    pub(crate) retention: Duration,
    pub(crate) max_request_body: usize,
    pub(crate) max_reply: usize,
    pub(crate) at_limit: AtLimits,
    pub(crate) completion: Completion,
    pub(crate) follow_created: bool,
    pub(crate) on_disconnect: OnDisconnect,
    #[cfg(feature = "grpc")]
    pub(crate) on_budget: OnBudget,
    /// The message type of a gRPC method's replies. What has one is a gRPC call, wherever its terms go.
    pub(crate) response_type: Option<Arc<str>>,
    pub(crate) handle: bool,
    /// Whether an operation outlives the process that runs it.
    pub(crate) is_durable: bool,
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            methods: MethodSet::that_change_things(),
            budget: Some(Duration::from_secs(1)),
            grace: Duration::from_millis(50),
            longest_wait: Duration::from_secs(60),
            honor_respond_async: true,
            honor_wait: true,
            honor_idempotency_key: true,
            max_run_time: Some(Duration::from_secs(60 * 60)),
            retention: Duration::from_secs(10 * 60),
            max_request_body: 1024 * 1024,
            max_reply: 8 * 1024 * 1024,
            at_limit: AtLimits::default(),
            completion: Completion::default(),
            follow_created: false,
            on_disconnect: OnDisconnect::default(),
            #[cfg(feature = "grpc")]
            on_budget: OnBudget::default(),
            response_type: None,
            handle: false,
            is_durable: false,
            max_attempts: 3,
            backoff: Duration::from_secs(1),
        }
    }
}

/// When a request is detached.
impl Policy {
    /// The policy in which every rule has its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The methods the policy holds for. Requests of other methods pass untouched.
    ///
    /// Default: POST, PUT, PATCH and DELETE. `CONNECT` requests and protocol upgrades pass untouched
    /// whatever is said here.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// How long a client waits in line before its request is detached.
    ///
    /// Default: 1 second. Zero detaches every request that is not answered at once. The deadline may
    /// be a few milliseconds late, never early.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Detaches only the requests whose client asks for it with `Prefer` (RFC 7240).
    #[must_use]
    pub fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// How long a request with `Prefer: respond-async` may still be answered in line.
    ///
    /// Default: 50 milliseconds: what a handler rejects at once gets its 400 and not a 202. Zero
    /// detaches at once. When the grace is longer than the budget, the budget counts.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The longest time a client may ask to wait with `Prefer: wait=N` (RFC 7240, section 4.3), both
    /// when it submits a request and when it asks the status monitor.
    ///
    /// Default: 60 seconds. A longer wait counts as this one.
    #[must_use]
    pub fn longest_wait(mut self, longest: Duration) -> Self {
        self.longest_wait = longest;
        self
    }

    /// Whether `Prefer: respond-async` (RFC 7240, section 4.1) detaches a request before its budget is spent.
    ///
    /// Default: yes.
    #[must_use]
    pub fn honor_respond_async(mut self, honor: bool) -> Self {
        self.honor_respond_async = honor;
        self
    }

    /// Whether `Prefer: wait=N` (RFC 7240, section 4.3) takes the place of the budget.
    ///
    /// Default: yes.
    #[must_use]
    pub fn honor_wait(mut self, honor: bool) -> Self {
        self.honor_wait = honor;
        self
    }

    /// Whether `Idempotency-Key` is honoured: requests of the same owner, method and route under the same key are one
    /// operation, whose reply each of them gets. Such a request is stored before its handler begins, and is not
    /// canceled when its client hangs up.
    ///
    /// Default: yes. Without, the field is left to the service.
    #[must_use]
    pub fn honor_idempotency_key(mut self, honor: bool) -> Self {
        self.honor_idempotency_key = honor;
        self
    }

    /// How much of a request body that is still arriving may be read into memory so that the request
    /// can be detached.
    ///
    /// In bytes. Default: 1 MiB. With zero, only requests whose body has arrived are detached. What
    /// happens to larger ones is said for [`Limit::RequestBody`].
    #[must_use]
    pub fn max_request_body(mut self, bytes: usize) -> Self {
        self.max_request_body = bytes;
        self
    }

    /// What happens to a request when `limit` forbids detaching it.
    ///
    /// Default: [`AtLimit::StayInLine`] for every limit.
    #[must_use]
    pub fn at_limit(mut self, limit: Limit, at: AtLimit) -> Self {
        *self.at_limit.get_mut(limit) = at;
        self
    }

    /// What happens to a request when any limit forbids detaching it.
    ///
    /// Default: [`AtLimit::StayInLine`].
    #[must_use]
    pub fn at_every_limit(mut self, at: AtLimit) -> Self {
        self.at_limit = AtLimits::every(at);
        self
    }

    /// What happens when the client hangs up before the request is answered or detached.
    ///
    /// Default: [`OnDisconnect::Cancel`].
    #[must_use]
    pub fn on_disconnect(mut self, on_disconnect: OnDisconnect) -> Self {
        self.on_disconnect = on_disconnect;
        self
    }

    /// Whether it holds for requests of this method: for none where it cannot be kept to.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.methods.contains(method) && RouteFault::all_of(self).next().is_none()
    }

    pub(crate) fn at(&self, limit: Limit) -> AtLimit {
        self.at_limit.get(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_a_policy_holds_for_the_methods_that_change_things() {
        let policy = Policy::new();
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(policy.methods.contains(&method), "{method}");
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(!policy.methods.contains(&method), "{method}");
        }
    }

    #[test]
    fn said_methods_replace_the_default_ones() {
        let policy = Policy::new().methods([Method::GET]);
        assert!(policy.methods.contains(&Method::GET));
        assert!(!policy.methods.contains(&Method::POST));
    }
}
