//! The services of the fast path: one that is ready at once or yields once, bare and under each of the alternatives.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Future, poll_fn},
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Full;
use tokio::task::{JoinError, JoinHandle};
use tower::{Layer, Service};
use tower_http::timeout::TimeoutLayer;
use tower_respond_async::{Operations, Policy, Routes};

/// Longer than any call takes.
const LIMIT: Duration = Duration::from_secs(10);

/// What the service does before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    ReadyAtOnce,
    YieldsOnce,
}

/// What stands around the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    Nothing,
    TowerTimeout,
    TowerHttpTimeout,
    Ours,
    OursWithTable,
    SpawnEveryRequest,
}

impl Pace {
    pub(crate) const ALL: [Self; 2] = [Self::ReadyAtOnce, Self::YieldsOnce];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadyAtOnce => "ready at once",
            Self::YieldsOnce => "yields once",
        }
    }
}

impl Around {
    pub(crate) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::TowerTimeout,
        Self::TowerHttpTimeout,
        Self::Ours,
        Self::OursWithTable,
        Self::SpawnEveryRequest,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare service",
            Self::TowerTimeout => "tower Timeout",
            Self::TowerHttpTimeout => "tower-http TimeoutLayer",
            Self::Ours => "ours",
            Self::OursWithTable => "ours, 100 routes",
            Self::SpawnEveryRequest => "spawn every request",
        }
    }
}

/// A handler that keeps what a handler would: the request it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    pub(crate) pace: Pace,
}

pub(crate) struct Handling<B> {
    request: Option<Request<B>>,
    yields: bool,
}

impl<B> Service<Request<B>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Handling<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Handling<B> {
        Handling { request: Some(request), yields: self.pace == Pace::YieldsOnce }
    }
}

impl<B> Unpin for Handling<B> {}

impl<B> Future for Handling<B> {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.yields) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        drop(self.request.take());
        let mut response = Response::new(Full::new(Bytes::from_static(b"{\"rendered\":true}")));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Poll::Ready(Ok(response))
    }
}

/// A request as a client's library would send it, without a `Prefer`.
fn request<B: Body>(body: B) -> Request<B> {
    Request::post("/workshops/42/renders")
        .header(header::HOST, "renders.example.com")
        .header(header::USER_AGENT, "reqwest/0.12.24")
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.size_hint().lower())
        .body(body)
        .unwrap()
}

/// A table of which the request takes the fiftieth route.
fn hundred_routes() -> Routes {
    let mut routes = Routes::builder();
    for number in 0..100 {
        let noun = if number == 50 { "workshops".to_owned() } else { format!("resources-{number}") };
        routes = routes.route(format!("/{noun}/{{id}}/renders"), Policy::new().budget(LIMIT));
    }
    routes.build().unwrap()
}

/// Makes a number of calls, one after the other, and returns the time from the first call to the last response, in
/// nanoseconds; requests are made before. To be run in a task.
pub(crate) type Calls = Box<dyn Fn(usize) -> Pin<Box<dyn Future<Output = f64> + Send>> + Send>;

/// Calls of the service with all around it that is asked for. The service keeps its own type, as a box around it would
/// be part of what is measured.
pub(crate) fn calls<B>(around: Around, pace: Pace, body: B) -> Calls
where
    B: Body<Data = Bytes> + Clone + Send + Sync + 'static,
    B::Error: Send,
{
    let handler = Handler { pace };
    let operations = Operations::builder().build().unwrap();
    match around {
        Around::Nothing => calls_of(handler, body),
        Around::TowerTimeout => calls_of(tower::timeout::Timeout::new(handler, LIMIT), body),
        Around::TowerHttpTimeout => {
            calls_of(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LIMIT).layer(handler), body)
        }
        Around::Ours => calls_of(operations.layer(Policy::new().budget(LIMIT)).layer(handler), body),
        Around::OursWithTable => calls_of(operations.layer(hundred_routes()).layer(handler), body),
        Around::SpawnEveryRequest => calls_of(SpawnEveryRequest(handler), body),
    }
}

fn calls_of<S, B>(service: S, body: B) -> Calls
where
    S: Service<Request<B>, Error: Debug, Future: Send> + Clone + Send + 'static,
    B: Body + Clone + Send + 'static,
{
    Box::new(move |count| {
        let mut service = service.clone();
        let requests: Vec<_> = (0..count).map(|_| request(body.clone())).collect();
        Box::pin(async move {
            let begun = Instant::now();
            for request in requests {
                poll_fn(|context| service.poll_ready(context)).await.unwrap();
                drop(black_box(service.call(request).await.unwrap()));
            }
            begun.elapsed().as_secs_f64() * 1e9
        })
    })
}

/// The simplest way to let a handler outlive its client: a task for each request.
#[derive(Clone)]
struct SpawnEveryRequest<S>(S);

impl<S, B> Service<Request<B>> for SpawnEveryRequest<S>
where
    S: Service<Request<B>, Response: Send, Error: Send, Future: Send + 'static>,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = Result<S::Response, S::Error>;
    type Error = JoinError;
    type Future = JoinHandle<Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), JoinError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        tokio::spawn(self.0.call(request))
    }
}
