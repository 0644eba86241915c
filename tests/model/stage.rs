//! The real thing: operations under a paused clock, handlers that do what they are told, clients that wait.

use std::{
    convert::Infallible,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::Instant,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_respond_async::{Operations, Owner, Policy, RequestBody};

use crate::{BUDGET, MAX_KEPT, MAX_KEPT_BYTES, MAX_RUN_TIME, MAX_RUNNING, RETENTION, life::Name};

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) operations: Operations,
    began: Instant,
}

/// What a handler is told to do.
#[derive(Debug)]
pub(crate) enum Told {
    Reply(Response<String>),
    Panic,
}

/// One request: the client that waits for its answer, and the handler that is to be told what to do.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) client: JoinHandle<Answer>,
    pub(crate) tell: oneshot::Sender<Told>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let operations = Operations::builder()
            .max_operations(MAX_RUNNING)
            .max_kept_operations(MAX_KEPT)
            .max_kept_bytes(MAX_KEPT_BYTES)
            .owner(|request| Some(Owner::new(request.headers.get("x-user")?.to_str().ok()?)))
            .build()
            .unwrap();
        Self { operations, began: Instant::now() }
    }

    pub(crate) fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(crate) async fn sleep_until(&self, moment: u64) {
        tokio::time::sleep_until(self.began + Duration::from_millis(moment)).await;
        settle().await;
    }

    pub(crate) async fn submit(&self, owner: Name, patient: bool) -> Call {
        let (tell, told) = oneshot::channel();
        let mut told = Some(told);
        let service = service_fn(move |_: Request<RequestBody<String>>| handle(told.take().unwrap()));
        let policy = Policy::new()
            .budget(Duration::from_millis(if patient { BUDGET } else { 0 }))
            .max_run_time(Duration::from_millis(MAX_RUN_TIME))
            .max_reply(MAX_KEPT_BYTES)
            .retention(Duration::from_millis(RETENTION));
        let service = self.operations.layer(policy).layer(service);
        let client = tokio::spawn(send(service, request(Method::POST, "/jobs", owner)));
        settle().await;
        Call { client, tell }
    }

    /// Asks the monitor.
    pub(crate) async fn ask(&self, method: Method, path: &str, asker: Name) -> Answer {
        send(self.operations.monitor(), request(method, path, asker)).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A moment of a status document, in milliseconds since the Unix epoch.
pub(crate) fn moment(document: &Value, name: &str) -> u64 {
    let time = humantime::parse_rfc3339(document[name].as_str().unwrap()).unwrap();
    time.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Lets every task that can go on do so, in no time.
pub(crate) async fn settle() {
    for _ in 0..16 {
        yield_now().await;
    }
}

async fn handle(told: oneshot::Receiver<Told>) -> Result<Response<String>, Infallible> {
    match told.await {
        Ok(Told::Reply(reply)) => Ok(reply),
        Ok(Told::Panic) => panic!("as told"),
        Err(_) => std::future::pending().await,
    }
}

fn request(method: Method, path: &str, user: Name) -> Request<String> {
    let request = Request::builder().method(method).uri(path);
    let request = match user {
        Some(user) => request.header("x-user", user),
        None => request,
    };
    request.body(String::new()).unwrap()
}

async fn send<S, B>(service: S, request: Request<String>) -> Answer
where
    S: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: Body<Error: std::fmt::Debug>,
{
    let response = service.oneshot(request).await.unwrap();
    let status = response.status();
    let location = response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, location, body }
}
