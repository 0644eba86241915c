//! The wrapped service: decides for each request whether it may be detached.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

#[cfg(feature = "grpc")]
use super::grpc;
use super::{
    MapServiceError, RequestBody, ResponseBody, ResponseFuture, Route, Routing, ServiceErrorProblem,
    candidate::Candidate,
    client::Client,
    detach::Call,
    future::Waiting,
    speech::Speech,
    stored_first::Submission,
    submission::{Noted, Patience},
};
use crate::{policy::Policy, run::OperationHandle};

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

    /// What is to be known of a request that may be detached. `None` where it must not be.
    #[inline]
    fn candidate<B>(&self, request: &Request<B>) -> Option<Candidate> {
        #[cfg(feature = "grpc")]
        if let Some(route) = self.routing.calls.find(request.method(), request.uri().path()) {
            let noted = Noted::of(request.method(), request.headers());
            if noted.is_call {
                return grpc::candidate(route, noted, request);
            }
        }
        let route = self.route(request)?;
        let noted = Noted::of(request.method(), request.headers());
        #[cfg(feature = "grpc")]
        if noted.is_call && noted.prefers {
            self.routing.passing.has_asked(&self.routing.calls, request.uri().path());
        }
        if noted.exchanges || is_under_way(&route, request) {
            return None;
        }
        let patience = Patience::of(&route.terms.policy, noted, request.headers());
        Some(Candidate { route, noted, patience, speech: Speech::Http })
    }

    /// The route on whose terms the request may be detached. `None` where it must not be.
    fn route<B>(&self, request: &Request<B>) -> Option<Arc<Route>> {
        let listed = self.routing.table.find(request.method(), request.uri().path());
        match request.extensions().get::<Policy>() {
            None => listed.map(Arc::clone),
            Some(policy) if policy.takes(request.method()) => Some(self.overridden(listed, policy.clone())),
            Some(_) => None,
        }
    }

    fn pass<B, F, RB>(&mut self, request: Request<B>) -> ResponseFuture<F, B, RB, M>
    where
        S: Service<Request<RequestBody<B>>, Future = F>,
        B: Body,
    {
        ResponseFuture::passing(self.inner.call(request.map(RequestBody::untouched)))
    }

    /// The route under the policy that this one request carries.
    fn overridden(&self, listed: Option<&Arc<Route>>, policy: Policy) -> Arc<Route> {
        let route = listed.unwrap_or(&self.routing.unlisted);
        let policy = Policy { response_type: None, ..policy };
        Arc::new(Route { hub: Arc::clone(&route.hub), terms: Arc::new(route.terms.with_policy(policy)) })
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(candidate) = self.candidate(&request) else { return self.pass(request) };
        let Candidate { route, noted, .. } = &candidate;
        let mut owner = None;
        // Taken apart only for this, as a request is much to move.
        if let Some(owner_of) = &route.hub.settings.owner_of {
            let (parts, body) = request.into_parts();
            owner = owner_of(&parts);
            request = Request::from_parts(parts, body);
        }
        let client = Client::of(&candidate, &request, owner);
        let handle = route.terms.policy.handle.then(|| OperationHandle::new(Arc::clone(&route.hub.watchers)));
        if let Some(handle) = &handle {
            request.extensions_mut().insert(handle.clone());
        }
        let submission = Submission::of(route, noted.is_keyed, &request);
        let mut arrival = None;
        let request = request.map(|body| RequestBody::watched(body, noted.expects, &mut arrival));
        if let (Some(submission), Some(arrival)) = (&submission, &arrival) {
            submission.record(arrival, route.terms.policy.max_request_body);
        }
        // The memory first, so that the call is made in its place.
        let call = Box::write(Box::new_uninit(), Call::new(self.inner.call(request), self.service_error.clone()));
        ResponseFuture::in_line(Waiting::new(candidate.route, call.into(), arrival, client, handle, submission))
    }
}

/// Whether the request is an operation already, which a worker runs.
pub(super) fn is_under_way<B>(route: &Route, request: &Request<B>) -> bool {
    #[cfg(feature = "durable")]
    return route.hub.is_shared() && request.extensions().get::<super::stored_call::UnderWay>().is_some();
    #[cfg(not(feature = "durable"))]
    return {
        let _neither = (route, request);
        false
    };
}

impl<S: fmt::Debug, M> fmt::Debug for RespondAsync<S, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RespondAsync").field("inner", &self.inner).finish_non_exhaustive()
    }
}
