//! R12: a shutdown ends everything that is open, and leaves nothing behind.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::runtime::Handle;

use crate::{
    client::{Exchange, Framing, fetch, get, post, request},
    server::{ALL, Front, Server, impatient},
    stage::{Stage, until},
};

async fn work(stage: Stage, request: Request<Body>) -> Response<Body> {
    let _presence = stage.enter();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    stage.wait().await;
    Response::new(Body::from(body))
}

async fn serve(front: Front) -> (Server, Stage) {
    let stage = Stage::new();
    let handler = stage.clone();
    (Server::start(front, impatient(), move |request| work(handler.clone(), request)).await, stage)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// What waits for an operation: its events, and a long poll.
async fn waiting(server: &Server, framing: Framing, location: &str) -> (Exchange, Exchange) {
    let events = request(Method::GET, &format!("{location}/events")).body(()).unwrap();
    let mut events = Exchange::ask(server.address, framing, events).await;
    assert_eq!(events.head().await.status, 200);
    assert!(events.piece().await.unwrap().unwrap().starts_with(b"event: running\n"));
    let poll = request(Method::GET, location).header("prefer", "wait=60").body(()).unwrap();
    let mut poll = Exchange::ask(server.address, framing, poll).await;
    poll.silent().await;
    (events, poll)
}

#[tokio::test]
async fn r12_what_does_not_end_in_time_is_interrupted() {
    for (front, framing) in ALL {
        let before = tasks();
        let (server, stage) = serve(front).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
            assert_eq!(accepted.status, 202);
            let (events, poll) = waiting(&server, framing, accepted.location()).await;
            open.push((accepted.location().to_owned(), events, poll));
        }

        let drained = server.operations.drain(Duration::ZERO).await;
        assert_eq!((drained.finished, drained.interrupted, drained.blocked), (0, 3, 0));
        assert_eq!(server.operations.in_flight(), 0);
        for (location, mut events, mut poll) in open {
            stage.gone().await;
            assert!(events.piece().await.unwrap().unwrap().starts_with(b"event: failed\n"), "{front:?} {framing:?}");
            assert_eq!(events.piece().await.unwrap(), None);
            assert_eq!(poll.response().await.status, 303);
            let reply = get(server.address, framing, &format!("{location}/result")).await;
            assert_eq!(reply.status, 503);
            assert!(reply.json()["type"].as_str().unwrap().ends_with("#interrupted"));
        }
        server.stop().await;
        until("nothing is left running", || tasks() == before).await;
    }
}

#[tokio::test]
async fn r12_what_ends_in_time_ends_as_ever() {
    for (front, framing) in ALL {
        let before = tasks();
        let (server, stage) = serve(front).await;
        let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 4).await;
        upload.send(b"work").await;
        upload.end(None).await;
        let accepted = upload.response().await;
        let (mut events, mut poll) = waiting(&server, framing, accepted.location()).await;

        let operations = server.operations.clone();
        let draining = tokio::spawn(async move { operations.drain(Duration::from_secs(60)).await });
        // The monitor goes on answering.
        assert_eq!(get(server.address, framing, accepted.location()).await.status, 202);
        stage.go();
        assert!(events.piece().await.unwrap().unwrap().starts_with(b"event: succeeded\n"));
        assert_eq!(events.piece().await.unwrap(), None);
        assert_eq!(poll.response().await.status, 303);
        let drained = draining.await.unwrap();
        assert_eq!((drained.finished, drained.interrupted, drained.blocked), (1, 0, 0));
        let reply = get(server.address, framing, &format!("{}/result", accepted.location())).await;
        assert_eq!(reply.text(), "work");
        drop((upload, events, poll));
        server.stop().await;
        until("nothing is left running", || tasks() == before).await;
    }
}

/// A request in line is the server's to wait for, before and after its budget is over.
#[tokio::test]
async fn r12_what_is_in_line_is_answered_in_line() {
    for (front, framing) in ALL {
        let before = tasks();
        let (server, stage) = serve(front).await;
        let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 4).await;
        upload.send(b"wo").await;
        stage.started().await;
        server.operations.drain(Duration::from_secs(60)).await;
        let mut late =
            Exchange::ask(server.address, framing, post("/work").header("prefer", "respond-async").body(()).unwrap())
                .await;
        stage.started().await;
        upload.send(b"rk").await;
        upload.end(None).await;
        upload.silent().await;
        late.silent().await;
        stage.go_all();
        for (exchange, expected) in [(&mut upload, "work"), (&mut late, "")] {
            let received = exchange.response().await;
            assert_eq!((received.status.as_u16(), received.text()), (200, expected), "{front:?} {framing:?}");
        }
        drop((upload, late));
        server.stop().await;
        until("nothing is left running", || tasks() == before).await;
    }
}

/// Events and long polls asked for after the end are answered as they are, and do not wait.
#[tokio::test]
async fn r12_nobody_waits_for_what_is_drained() {
    for (front, framing) in ALL {
        let (server, _stage) = serve(front).await;
        let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
        server.operations.drain(Duration::ZERO).await;
        let events = get(server.address, framing, &format!("{}/events", accepted.location())).await;
        assert!(events.text().starts_with("event: failed\n"));
        let poll = request(Method::GET, accepted.location()).header("prefer", "wait=60").body(()).unwrap();
        assert_eq!(fetch(server.address, framing, poll).await.status, 303);
    }
}

/// Without a drain, dropping the server and the operations is enough to end what they have running, but for the
/// operations themselves.
#[tokio::test]
async fn r12_operations_that_are_dropped_leave_no_task() {
    for (front, framing) in ALL {
        let before = tasks();
        let (server, stage) = serve(front).await;
        let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
        assert_eq!(accepted.status, 202);
        stage.go();
        stage.gone().await;
        server.stop().await;
        until("nothing is left running", || tasks() == before).await;
    }
}

/// A handler that blocks its thread cannot be stopped. Its operation ends all the same, and nobody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r12_a_handler_that_blocks_holds_nobody_up() {
    for (front, framing) in [(Front::Axum, Framing::Length), (Front::Http2, Framing::Http2)] {
        let (unblock, blocked) = std::sync::mpsc::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        let stage = Stage::new();
        let handler = stage.clone();
        let server = Server::start(front, impatient(), move |_| {
            let (stage, blocked) = (handler.clone(), Arc::clone(&blocked));
            async move {
                let _presence = stage.enter();
                stage.wait().await;
                stage.has_read();
                let _unblocked = blocked.lock().unwrap().recv();
                Response::new(Body::empty())
            }
        })
        .await;
        let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
        let (mut events, mut poll) = waiting(&server, framing, accepted.location()).await;
        stage.go();
        stage.read().await;
        let drained = server.operations.drain(Duration::ZERO).await;
        assert_eq!((drained.finished, drained.interrupted, drained.blocked), (0, 1, 1), "{front:?} {framing:?}");
        assert!(events.piece().await.unwrap().unwrap().starts_with(b"event: failed\n"));
        assert_eq!(events.piece().await.unwrap(), None);
        assert_eq!(poll.response().await.status, 303);
        drop(unblock);
        stage.gone().await;
        until("its permit is given back", || server.operations.in_flight() == 0).await;
    }
}
