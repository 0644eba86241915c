//! The wrapped service: decides for each request whether it may be detached.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    MapServiceError, RequestBody, ResponseBody, ResponseFuture, Route, Routing, ServiceErrorProblem,
    detach::Call,
    future::{Client, Waiting},
    submission::{self, Patience},
};
use crate::{
    hub::OperationHandle,
    policy::{Policy, Terms},
};

/// A service whose requests can become operations. See [`RespondAsyncLayer`](super::RespondAsyncLayer).
///
/// The service inside gets its requests' bodies as [`RequestBody<B>`]. One that insists on a body type of its own is
/// given it by a mapping in between, such as tower-http's `MapRequestBodyLayer`.
#[derive(Clone)]
pub struct RespondAsync<S, M = ServiceErrorProblem> {
    inner: S,
    routing: Arc<Routing>,
    service_error: M,
}

impl<S, M> RespondAsync<S, M> {
    pub(super) fn new(inner: S, routing: Arc<Routing>, service_error: M) -> Self {
        Self { inner, routing, service_error }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The route on whose terms the request may be detached. `None` where it must not be.
    fn route<B>(&self, request: &Request<B>) -> Option<Arc<Route>> {
        let listed = self.routing.table.find(request.method(), request.uri().path());
        let route = match request.extensions().get::<Policy>() {
            None => Arc::clone(listed?),
            Some(policy) if policy.methods.contains(request.method()) => self.overridden(listed, policy.clone()),
            Some(_) => return None,
        };
        (!submission::passes_through(request)).then_some(route)
    }

    /// The route under the policy that this one request carries.
    fn overridden(&self, listed: Option<&Arc<Route>>, policy: Policy) -> Arc<Route> {
        let terms = match listed {
            Some(route) => route.terms.with_policy(policy),
            None => Terms::new("unlisted".into(), policy),
        };
        Arc::new(Route { hub: Arc::clone(&self.routing.hub), terms: Arc::new(terms) })
    }
}

impl<S, B, RB, M> Service<Request<B>> for RespondAsync<S, M>
where
    S: Service<Request<RequestBody<B>>, Response = Response<RB>>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
    RB: Body + Send + 'static,
    M: MapServiceError<S::Error> + Clone + Send + 'static,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B, RB, M>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(route) = self.route(&request) else {
            return ResponseFuture::passing(self.inner.call(request.map(RequestBody::untouched)));
        };
        let patience = Patience::of(&route.terms.policy, request.headers());
        let settings = &route.hub.settings;
        let origin = settings.origin(request.headers());
        let (owner, request) = submission::owner(settings, request);
        let (mut request, arrival) = RequestBody::watched(request);
        let handle = route.terms.policy.handle.then(|| OperationHandle::new(Arc::clone(&route.hub.watchers)));
        if let Some(handle) = &handle {
            request.extensions_mut().insert(handle.clone());
        }
        let client = Client { patience, origin, owner, span: tracing::Span::current() };
        let call = Call::new(self.inner.call(request), route, self.service_error.clone());
        ResponseFuture::in_line(Waiting::new(call, arrival, client, handle))
    }
}

impl<S: fmt::Debug, M> fmt::Debug for RespondAsync<S, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RespondAsync").field("inner", &self.inner).finish_non_exhaustive()
    }
}
