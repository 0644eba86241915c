//! R2: whoever has read a `202 Accepted` finds the operation, however soon.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use axum::body::Body;
use http::{Method, Response};
use tower_respond_async::Policy;

use crate::{
    client::{Http1, Http2, post, request},
    server::{HTTP1, HTTP2, Server},
};

const CLIENTS: usize = 8;
const REQUESTS: usize = 150;

fn at_once() -> Policy {
    Policy::new().budget(Duration::ZERO)
}

/// Some end before the 202 is out, some while it is polled, some after.
async fn handler() -> Response<Body> {
    for _ in 0..dice() % 8 {
        tokio::task::yield_now().await;
    }
    Response::new(Body::from("done"))
}

fn dice() -> u64 {
    RandomState::new().hash_one(())
}

fn found(status: http::StatusCode) {
    assert!(matches!(status.as_u16(), 202 | 303), "the first poll got {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_the_first_poll_over_another_connection_finds_the_operation_http1() {
    for front in HTTP1 {
        let server = Server::start(front, at_once(), |_| handler()).await;
        let address = server.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                tokio::spawn(async move {
                    let mut submitting = Http1::connect(address).await;
                    let mut polling = Http1::connect(address).await;
                    let mut detached = 0;
                    for _ in 0..REQUESTS {
                        submitting.ask(&post("/work").body(()).unwrap()).await;
                        let accepted = submitting.response().await;
                        if accepted.status == 202 {
                            detached += 1;
                            polling.ask(&request(Method::GET, accepted.location()).body(()).unwrap()).await;
                            found(polling.response().await.status);
                        }
                    }
                    detached
                })
            })
            .collect();
        let mut detached = 0;
        for client in clients {
            detached += client.await.unwrap();
        }
        assert!(detached > CLIENTS * REQUESTS / 2, "only {detached} were detached");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_the_first_poll_over_another_connection_finds_the_operation_http2() {
    for front in HTTP2 {
        let server = Server::start(front, at_once(), |_| handler()).await;
        let address = server.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                tokio::spawn(async move {
                    let mut submitting = Http2::connect(address).await;
                    let mut polling = Http2::connect(address).await;
                    for _ in 0..REQUESTS {
                        let accepted = submitting.fetch(post("/work").body(()).unwrap()).await;
                        if accepted.status == 202 {
                            let poll = request(Method::GET, accepted.location()).body(()).unwrap();
                            found(polling.fetch(poll).await.status);
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    }
}
