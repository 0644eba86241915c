//! What the tests have in common: a handler that answers when it is told to, and answers read whole.

use std::{
    convert::Infallible,
    fmt::Debug,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde_json::Value;
use tokio::{sync::oneshot, time::Instant};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_respond_async::{OperationHandle, Operations, OperationsBuilder, Owner, Policy, RequestBody, problem};

pub(crate) type Incoming = Request<RequestBody<String>>;
pub(crate) type ReplyBody = UnsyncBoxBody<Bytes, BoxError>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn operations() -> Operations {
    Operations::builder().build().unwrap()
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = request::Builder::new().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(String::new()).unwrap()
}

pub(crate) fn post(headers: &[(&str, &str)]) -> Request<String> {
    request(Method::POST, "/jobs", headers)
}

/// A reply of this status and body.
pub(crate) fn reply(status: u16, body: &'static str) -> Response<ReplyBody> {
    let body = Full::from(body).map_err(|never: Infallible| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

/// Lets every task that can go on do so.
pub(crate) async fn settle() {
    tokio::time::sleep(millis(1)).await;
}

/// How long it takes, too.
pub(crate) async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (future.await, begun.elapsed())
}

/// The layer's deadlines are never early, and at most two ticks of four milliseconds late.
#[track_caller]
pub(crate) fn assert_took(taken: Duration, expected: Duration) {
    assert!(taken >= expected && taken <= expected + millis(9), "took {taken:?} instead of {expected:?}");
}

/// A response, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) async fn of<B: Body<Error: Debug>>(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        Self { status: head.status, headers: head.headers, body: body.to_bytes(), trailers }
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert_eq!(values.next(), None, "{name} twice");
        value.to_str().unwrap()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Whole seconds, at least one.
    #[track_caller]
    pub(crate) fn retry_after(&self) -> u64 {
        let seconds = self.header("retry-after").parse().unwrap();
        assert!(seconds >= 1);
        seconds
    }

    /// It is this problem, in every respect.
    #[track_caller]
    pub(crate) fn assert_problem(&self, kind: problem::Kind) {
        assert_eq!(self.status, kind.status());
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let document = self.json();
        assert_eq!(document["type"], kind.type_uri());
        assert_eq!(document["title"], kind.title());
        assert_eq!(document["status"], kind.status().as_u16());
    }
}

/// Sends a request through a service.
pub(crate) async fn send<S, B, RB>(service: S, request: Request<B>) -> Answer
where
    S: Service<Request<B>, Response = Response<RB>, Error: Debug>,
    RB: Body<Error: Debug>,
{
    Answer::of(service.oneshot(request).await.unwrap()).await
}

/// Asks the monitor.
pub(crate) async fn ask(operations: &Operations, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(operations.monitor(), request(method, path, headers)).await
}

pub(crate) async fn get(operations: &Operations, path: &str) -> Answer {
    ask(operations, Method::GET, path, &[]).await
}

pub(crate) async fn delete(operations: &Operations, path: &str) -> Answer {
    ask(operations, Method::DELETE, path, &[]).await
}

/// Sends a request to a service whose requests are detached at once, and returns where it has become an operation.
pub(crate) async fn detach<S, RB>(operations: &Operations, policy: Policy, service: S) -> String
where
    S: Service<Incoming, Response = Response<RB>, Error: Into<BoxError> + Debug, Future: Send + 'static>,
    RB: Body<Error: Debug> + Send + 'static,
{
    let layer = operations.layer(policy.budget(Duration::ZERO));
    let accepted = send(layer.layer(service), post(&[])).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    accepted.header("location").to_owned()
}

/// Waits until the operation has ended, and returns its result.
pub(crate) async fn result(operations: &Operations, location: &str) -> Answer {
    let wait = [("prefer", "wait=60")];
    assert_eq!(ask(operations, Method::GET, location, &wait).await.status, 303, "it has ended");
    get(operations, &format!("{location}/result")).await
}

/// Operations of several owners, told apart by a header of their requests.
pub(crate) fn owned() -> OperationsBuilder {
    Operations::builder().owner(|request| Some(Owner::new(request.headers.get("x-user")?.to_str().ok()?)))
}

/// That nothing is left that would ever wake the runtime: no task, no timer, no turning wheel.
pub(crate) async fn assert_at_rest(operations: &Operations) {
    assert_eq!(operations.in_flight(), 0);
    tokio::time::sleep(SECOND).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

/// The `status` of the status document.
pub(crate) async fn state(operations: &Operations, location: &str) -> String {
    let answer = get(operations, &format!("{location}/status")).await;
    assert_eq!(answer.status, 200);
    answer.json()["status"].as_str().unwrap().to_owned()
}

/// The error code of the status document.
pub(crate) async fn failure(operations: &Operations, location: &str) -> String {
    let answer = get(operations, &format!("{location}/status")).await;
    assert_eq!(answer.json()["status"], "failed", "{answer:?}");
    answer.json()["error"]["code"].as_str().unwrap().to_owned()
}

/// An operation whose handler answers when it is told to.
pub(crate) struct Job {
    pub(crate) location: String,
    pub(crate) accepted: Answer,
    pub(crate) handle: OperationHandle,
    pub(crate) finish: oneshot::Sender<Response<ReplyBody>>,
}

impl Job {
    pub(crate) async fn begin(operations: &Operations, policy: Policy) -> Self {
        Self::begin_with(operations, policy, post(&[])).await
    }

    pub(crate) async fn begin_with(operations: &Operations, policy: Policy, request: Request<String>) -> Self {
        let (finish, told) = oneshot::channel();
        let handle = Arc::new(OnceLock::new());
        let mut told = Some(told);
        let service = service_fn(|request: Incoming| {
            handle.set(request.extensions().get::<OperationHandle>().unwrap().clone()).unwrap();
            let told = told.take().unwrap();
            async {
                match told.await {
                    Ok(reply) => Ok::<_, BoxError>(reply),
                    // Nobody is left who could tell it to answer.
                    Err(_) => std::future::pending().await,
                }
            }
        });
        let policy = policy.handle(true).budget(Duration::ZERO);
        let accepted = send(operations.layer(policy).layer(service), request).await;
        assert_eq!(accepted.status, 202, "{accepted:?}");
        Self {
            location: accepted.header("location").to_owned(),
            accepted,
            handle: handle.get().unwrap().clone(),
            finish,
        }
    }

    /// Has the handler answer, and waits until that is known. Returns where it is.
    pub(crate) async fn reply(self, reply: Response<ReplyBody>) -> String {
        assert!(self.finish.send(reply).is_ok());
        settle().await;
        self.location
    }

    pub(crate) fn path(&self, resource: &str) -> String {
        format!("{}/{resource}", self.location)
    }
}
