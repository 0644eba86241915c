//! The handlers of the tests' applications: what they do is said by the first part of the path, and they wait until
//! they are told to go on.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, request};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::{Semaphore, watch};
use tower_respond_async::{OperationHandle, Progress};

use crate::client::within;

/// What the handlers of one test share, whichever replica they run on.
#[derive(Debug)]
pub(crate) struct Work {
    seen: Mutex<Vec<Seen>>,
    calls: AtomicUsize,
    running: watch::Sender<usize>,
    gate: Semaphore,
}

/// A request as its handler saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: request::Parts,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn handle(&self) -> &OperationHandle {
        self.head.extensions.get().expect("a handle")
    }
}

/// A handler's presence, until its future is dropped.
struct Presence<'a>(&'a Work);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

impl Work {
    pub(crate) fn new() -> Arc<Self> {
        let running = watch::Sender::new(0);
        Arc::new(Self { seen: Mutex::default(), calls: AtomicUsize::new(0), running, gate: Semaphore::new(0) })
    }

    /// Lets so many waits come to their end.
    pub(crate) fn go(&self, waits: usize) {
        self.gate.add_permits(waits);
    }

    /// Lets all waits come to their end, and those to come.
    pub(crate) fn go_all(&self) {
        self.gate.close();
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits until so many handlers run.
    pub(crate) async fn running(&self, expected: usize) {
        within(self.running.subscribe().wait_for(|running| *running == expected)).await.unwrap();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn wait(&self) {
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
    }

    pub(crate) async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let kind = head.uri.path().split('/').nth(1).unwrap_or_default().to_owned();
        let handle = head.extensions.get::<OperationHandle>().cloned();
        self.seen.lock().unwrap().push(Seen { head, body: body.clone() });
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.running.send_modify(|running| *running += 1);
        let _presence = Presence(&self);
        match kind.as_str() {
            "quick" => {}
            "progress" => {
                for step in 1..=3 {
                    handle.as_ref().unwrap().set_progress(Progress::new(f64::from(step) / 4.0).message("so far"));
                    self.wait().await;
                }
            }
            "panics" => {
                self.wait().await;
                panic!("as it was told to");
            }
            "twice" => {
                self.wait().await;
                assert!(handle.unwrap().attempt() > 2, "the first two attempts panic");
            }
            "breaks" => {
                self.wait().await;
                return breaking();
            }
            "large" => {
                self.wait().await;
                return Response::new(Body::from(vec![0; 100_000]));
            }
            "huge" => {
                self.wait().await;
                return Response::new(Body::from(vec![0; 5_000_000]));
            }
            "naps" => tokio::time::sleep(Duration::from_millis(200)).await,
            "refused" => {
                self.wait().await;
                return Response::builder().status(409).body(Body::from("no")).unwrap();
            }
            _ => self.wait().await,
        }
        reply(call, body)
    }
}

fn breaking() -> Response<Body> {
    let pieces = [Ok(http_body::Frame::data(Bytes::from("half"))), Err(io::Error::other("it broke"))];
    Response::new(Body::new(StreamBody::new(tokio_stream::iter(pieces))))
}

/// A reply with everything that one can have.
fn reply(call: usize, body: Bytes) -> Response<Body> {
    let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("x-end"), HeaderValue::from_static("whole"))]);
    let body = if body.is_empty() { binary() } else { body };
    let body = Full::from(body).with_trailers(async { Some(Ok::<_, std::convert::Infallible>(trailers)) });
    Response::builder()
        .header("content-type", "application/octet-stream")
        .header("trailer", "x-end")
        .header("x-call", call)
        .header("x-many", "one")
        .header("x-many", "two")
        .body(Body::new(body))
        .unwrap()
}

pub(crate) fn binary() -> Bytes {
    (0..=u8::MAX).collect()
}
