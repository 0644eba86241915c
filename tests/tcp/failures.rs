//! R5, R6: replies that never became whole.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http::Response;
use http_body::Frame;

use crate::{
    client::{Exchange, get, post},
    replies::detached,
    server::{ALL, Server, impatient, patient},
};

/// A body that breaks off.
struct Breaking(VecDeque<Bytes>);

impl http_body::Body for Breaking {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = self.0.pop_front().map(Frame::data);
        Poll::Ready(Some(next.ok_or_else(|| io::Error::other("it broke"))))
    }
}

fn breaking() -> Response<Body> {
    Response::builder().header("x-good-so-far", "yes").body(Body::new(Breaking(["half".into()].into()))).unwrap()
}

#[tokio::test]
async fn r6_a_body_that_breaks_off_fails_the_operation() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, breaking).await;
        let status = get(server.address, framing, &format!("{location}/status")).await.json();
        assert_eq!((&status["status"], &status["error"]["code"]), (&"failed".into(), &"service-error".into()));
        let reply = get(server.address, framing, &format!("{location}/result")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (502, "application/problem+json"));
        assert!(!reply.headers.contains_key("x-good-so-far"));
        assert!(!reply.text().contains("half"));
    }
}

#[tokio::test]
async fn r6_a_body_that_breaks_off_in_line_breaks_the_transfer() {
    for (front, framing) in ALL {
        for policy in [patient(), impatient()] {
            let server = Server::start(front, policy, |_| async { breaking() }).await;
            let mut exchange = Exchange::ask(server.address, framing, post("/work").body(()).unwrap()).await;
            if let Some(head) = exchange.try_head().await {
                assert_eq!(head.headers["x-good-so-far"], "yes");
                exchange.rest(head).await.expect_err("a broken transfer");
            }
            assert_eq!(server.operations.in_flight(), 0);
        }
    }
}

#[tokio::test]
async fn r5_a_panic_fails_the_operation_alone() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, || panic!("it was bound to happen")).await;
        let reply = get(server.address, framing, &format!("{location}/result")).await;
        assert_eq!(reply.status, 500);
        assert!(reply.json()["type"].as_str().unwrap().ends_with("#panicked"));
        assert!(!reply.text().contains("bound to happen"));
    }
}
