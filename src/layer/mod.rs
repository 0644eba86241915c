//! The middleware: wraps a service, decides for each request, waits, detaches.
//!
//! A request goes [`service`] → [`future`], in line; past its budget → [`leaving`] → [`detach`], as a task; its client
//! gets what [`accepted`] writes. A gRPC client gets all that in words of its own, from [`grpc`].

mod accepted;
mod candidate;
mod client;
mod collect;
mod detach;
mod future;
#[cfg(feature = "grpc")]
mod grpc;
mod leaving;
mod request_body;
mod response_body;
mod service;
mod service_error;
mod speech;
#[cfg(feature = "durable")]
mod stored_body;
#[cfg(feature = "durable")]
mod stored_call;
mod stored_first;
mod submission;

use std::{fmt, sync::Arc};

pub use future::ResponseFuture;
pub use request_body::RequestBody;
pub use response_body::ResponseBody;
pub use service::RespondAsync;
pub use service_error::{MapServiceError, ServiceErrorProblem};
#[cfg(feature = "durable")]
pub use stored_body::StoredBody;
#[cfg(feature = "durable")]
pub(crate) use stored_call::run_stored;
use tower_layer::Layer;
use tracing::warn;

#[cfg(feature = "grpc")]
use crate::longrunning::Methods;
use crate::{
    hub::Hub,
    policy::{Policy, Routes, Table, Terms},
};

/// Lets the requests of a service become operations. Made by [`Operations::layer`](crate::Operations::layer).
///
/// Cheap to clone and to apply.
#[derive(Clone)]
pub struct RespondAsyncLayer<M = ServiceErrorProblem> {
    routing: Arc<Routing>,
    service_error: M,
}

/// Which requests may be detached, and on which terms.
#[derive(Debug)]
struct Routing {
    table: Table<Arc<Route>>,
    /// For what is not listed and brings a policy of its own, so that what is learnt of it is kept.
    unlisted: Arc<Route>,
    /// The gRPC calls that may become operations.
    #[cfg(feature = "grpc")]
    calls: grpc::Calls,
    #[cfg(feature = "grpc")]
    passing: grpc::Passing,
}

/// One entry of the policy table, and the hub its operations go to.
#[derive(Debug)]
struct Route {
    hub: Arc<Hub>,
    terms: Arc<Terms>,
}

impl RespondAsyncLayer {
    pub(crate) fn new(hub: &Arc<Hub>, routes: &Routes) -> Self {
        let route = |name: Arc<str>, policy: &Policy| {
            let history = hub.history(&name);
            // What comes here is of HTTP, whatever else comes to the same path.
            let policy = Policy { response_type: None, ..policy.clone() };
            let terms = Arc::new(Terms::new(name, policy).with_history(history));
            if terms.policy.is_durable && !hub.is_shared() {
                warn!(route = &*terms.name, "nothing is durable without a store outside this process");
            }
            Arc::new(Route { hub: Arc::clone(hub), terms })
        };
        let table = routes.map(route);
        #[cfg(feature = "grpc")]
        let calls = grpc::Calls::listed(&table, routes.response_types());
        let routing = Routing {
            unlisted: route("unlisted".into(), &Policy::default()),
            #[cfg(feature = "grpc")]
            passing: grpc::Passing::of(&table, &calls),
            #[cfg(feature = "grpc")]
            calls,
            table,
        };
        Self { routing: Arc::new(routing), service_error: ServiceErrorProblem }
    }

    /// Replaces what stands in for the reply when the service returns an error after the request was detached. While
    /// the request is in line, errors pass through as they are.
    ///
    /// By default the error is logged and the reply is a problem document of status 502 that does not repeat it.
    ///
    /// A durable operation that may have another attempt is tried again instead of getting this reply; what a worker
    /// runs has the worker's own mapping.
    #[must_use]
    pub fn map_service_error<M>(self, service_error: M) -> RespondAsyncLayer<M> {
        RespondAsyncLayer { routing: self.routing, service_error }
    }
}

#[cfg(feature = "grpc")]
impl<M> RespondAsyncLayer<M> {
    /// Lets the calls of these gRPC methods become operations, too: of those that are unary, each on the terms that the
    /// table has for `POST` and the method's path. All others pass untouched; a method that is listed by its path, and
    /// is a stream or unknown, is warned of as the layer is applied.
    ///
    /// A method whose policy says its [response type](Policy::response_type) need not be among them.
    #[must_use]
    pub fn grpc(mut self, methods: &Methods) -> Self {
        let Routing { table, unlisted, calls, .. } = &*self.routing;
        let (table, unlisted, mut calls) = (table.clone(), Arc::clone(unlisted), calls.clone());
        calls.add_described(&table, methods);
        let passing = grpc::Passing::of(&table, &calls);
        self.routing = Arc::new(Routing { table, unlisted, calls, passing });
        self
    }
}

impl<S, M: Clone> Layer<S> for RespondAsyncLayer<M> {
    type Service = RespondAsync<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        #[cfg(feature = "grpc")]
        self.routing.passing.warn();
        RespondAsync::new(inner, Arc::clone(&self.routing), self.service_error.clone())
    }
}

impl<M> fmt::Debug for RespondAsyncLayer<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RespondAsyncLayer").finish_non_exhaustive()
    }
}
