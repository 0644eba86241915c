//! The companion service: one file for each thing one can ask of an operation.

mod body;
mod cancel;
mod events;
mod list;
mod result;
mod status;
mod target;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

pub use body::MonitorBody;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use target::{Resource, Target};
use tower_service::Service;
use tracing::warn;

use crate::{
    http::{
        accept,
        prefer::Preferences,
        problem::{Kind, Problem},
        retry_after,
    },
    hub::{Hub, Place},
    operation::{OperationId, Owner},
    store::{Part, Snapshot, StoreError, StoreFuture},
};

/// Serves the operations: their state, their replies, their events and their cancellation. Made by
/// [`Operations::monitor`](crate::Operations::monitor).
///
/// | request | answer |
/// |---|---|
/// | `GET {base}/{id}` | while it runs `202` with the status document, then a redirect to the result; with `Prefer: wait=N` as soon as it ends; with `Accept: text/event-stream` its events |
/// | `GET {base}/{id}/status` | `200` with the status document |
/// | `GET {base}/{id}/events` | its events, as server-sent events |
/// | `GET {base}/{id}/result` | the reply, with `ETag`, `Range` and preconditions |
/// | `DELETE {base}/{id}` | cancels a running operation, forgets one that has ended |
/// | `GET {base}` | the caller's own operations, where [owners](crate::OperationsBuilder::owner) are told apart |
///
/// It never fails and is always ready, takes requests of any body, which it does not read, and works whether or not
/// the router in front has removed the base path: nested, as a route of its own, or as the whole of a server.
#[derive(Clone)]
pub struct Monitor {
    hub: Arc<Hub>,
}

/// The response of the [`Monitor`]. Dropping it before it is ready changes nothing, but that a `DELETE` that was
/// polled may have canceled its operation.
#[must_use = "futures do nothing unless polled"]
pub struct MonitorFuture {
    answer: Answer,
    /// The request is a `HEAD`.
    without_body: bool,
}

enum Answer {
    Ready(Option<Response<MonitorBody>>),
    Waiting(Pin<Box<dyn Future<Output = Response<MonitorBody>> + Send>>),
}

/// Who asks.
struct Caller {
    hub: Arc<Hub>,
    owner: Option<Owner>,
    origin: Option<Box<str>>,
}

impl Monitor {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    fn answer(&self, parts: request::Parts) -> Answer {
        let settings = &self.hub.settings;
        let target = Target::of(parts.uri.path(), &settings.base_path);
        let owner = settings.owner_of.as_ref().and_then(|owner_of| owner_of(&parts));
        let origin = settings.origin(&parts.uri, &parts.headers);
        let caller = Caller { hub: Arc::clone(&self.hub), owner, origin };
        match target {
            None => not_found().into(),
            Some(Target::Collection) => collection(caller, &parts),
            Some(Target::Operation(id, resource)) => operation(caller, parts, id, resource),
        }
    }
}

fn collection(caller: Caller, parts: &request::Parts) -> Answer {
    match reads(&parts.method) {
        true => list::list(caller, parts.uri.query()),
        false => method_not_allowed("GET, HEAD").into(),
    }
}

fn operation(caller: Caller, parts: request::Parts, id: OperationId, resource: Resource) -> Answer {
    match resource {
        Resource::Monitor if parts.method == Method::DELETE => Answer::waiting(cancel::cancel(caller, id)),
        Resource::Monitor if !reads(&parts.method) => method_not_allowed("GET, HEAD, DELETE").into(),
        _ if !reads(&parts.method) => method_not_allowed("GET, HEAD").into(),
        Resource::Monitor if accept::wants_event_stream(&parts.headers) => events::events(caller, &parts, id),
        Resource::Monitor => match Preferences::from_headers(&parts.headers).wait {
            None => status::monitor(caller, parts, id),
            Some(wait) => Answer::waiting(status::wait(caller, without_extensions(parts), id, wait)),
        },
        Resource::Status => status::document(caller, id),
        Resource::Events => events::events(caller, &parts, id),
        Resource::Result => result::result(&caller, parts, id),
    }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Waits last, and need none of what the application has put there.
fn without_extensions(mut parts: request::Parts) -> request::Parts {
    parts.extensions.clear();
    parts
}

impl Caller {
    fn read(&self, id: OperationId, part: Part) -> StoreFuture<Option<Snapshot>> {
        self.hub.read(id, self.owner.as_ref(), part)
    }

    fn place(&self, id: OperationId) -> Place<'_> {
        self.hub.settings.place(self.origin.as_deref(), id)
    }
}

impl<B> Service<Request<B>> for Monitor {
    type Response = Response<MonitorBody>;
    type Error = Infallible;
    type Future = MonitorFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> MonitorFuture {
        let without_body = request.method() == Method::HEAD;
        MonitorFuture { answer: self.answer(request.into_parts().0), without_body }
    }
}

impl Future for MonitorFuture {
    type Output = Result<Response<MonitorBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = match &mut self.answer {
            Answer::Ready(response) => match response.take() {
                Some(response) => response,
                None => return Poll::Pending,
            },
            Answer::Waiting(response) => ready!(response.as_mut().poll(context)),
        };
        if self.without_body {
            remove_body(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}

impl Answer {
    /// What is made of what the store says: at once, where it says so at once.
    fn of<T, F>(asked: StoreFuture<T>, make: F) -> Self
    where
        T: Send + 'static,
        F: FnOnce(T) -> Response<MonitorBody> + Send + 'static,
    {
        match asked.now() {
            Ok(said) => said.map_or_else(|error| unavailable(&error), make).into(),
            Err(pending) => Self::waiting(async { pending.await.map_or_else(|error| unavailable(&error), make) }),
        }
    }

    fn waiting(response: impl Future<Output = Response<MonitorBody>> + Send + 'static) -> Self {
        Self::Waiting(Box::pin(response))
    }
}

impl From<Response<MonitorBody>> for Answer {
    fn from(response: Response<MonitorBody>) -> Self {
        Self::Ready(Some(response))
    }
}

/// Leaves what `HEAD` asks for (RFC 9110, section 9.3.2). Not every server takes the body off by itself, and events
/// would have no end.
fn remove_body(response: &mut Response<MonitorBody>) {
    let body = std::mem::take(response.body_mut());
    let says_length = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = http_body::Body::size_hint(&body).exact().filter(|_| says_length) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
}

fn problem(problem: Problem) -> Response<MonitorBody> {
    problem.into_response().map(MonitorBody::document)
}

/// The one answer to unknown, expired and other owners' operations.
fn not_found() -> Response<MonitorBody> {
    problem(Problem::new(Kind::NotFound))
}

/// The store has not answered, which says nothing of the operation.
fn unavailable(error: &StoreError) -> Response<MonitorBody> {
    warn!(error = error as &dyn std::error::Error, "the store did not answer");
    let mut response = problem(Problem::new(Kind::Unavailable));
    response.headers_mut().insert(header::RETRY_AFTER, retry_after::value(1));
    response
}

fn method_not_allowed(allowed: &'static str) -> Response<MonitorBody> {
    let mut response = problem(Problem::new(Kind::MethodNotAllowed));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

impl fmt::Debug for Monitor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl fmt::Debug for MonitorFuture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MonitorFuture").finish_non_exhaustive()
    }
}
