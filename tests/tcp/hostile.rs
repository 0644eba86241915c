//! More clients than anybody wants.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response};
use tokio::{runtime::Handle, task::JoinSet};
use tower_respond_async::{AtLimit, Limit, Operations};

use crate::{
    client::{Http1, Http2, Received, post, request, within},
    server::{Front, HTTP1, HTTP2, Server, impatient},
    stage::{Stage, until},
};

async fn wait(stage: Stage, _: Request<Body>) -> Response<Body> {
    let _presence = stage.enter();
    stage.wait().await;
    Response::new(Body::from("done"))
}

async fn serve(front: Front, operations: tower_respond_async::OperationsBuilder, at_limit: AtLimit) -> (Server, Stage) {
    let stage = Stage::new();
    let handler = stage.clone();
    let policy = impatient().at_limit(Limit::Operations, at_limit);
    (Server::start_with(front, operations, policy, move |request| wait(handler.clone(), request)).await, stage)
}

/// How many streams hyper lets one connection have, and how many connections.
const STREAMS: usize = 200;
const CONNECTIONS: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_that_wait_for_one_operation_are_all_told() {
    for front in HTTP2 {
        let (server, stage) = serve(front, Operations::builder(), AtLimit::StayInLine).await;
        let mut submitting = Http2::connect(server.address).await;
        let location = submitting.fetch(post("/work").body(()).unwrap()).await.location().to_owned();
        let mut waiting = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let mut connection = Http2::connect(server.address).await;
            let mut readers = Vec::new();
            for number in 0..STREAMS {
                let ask = if number % 2 == 0 {
                    request(Method::GET, &location).header("prefer", "wait=60")
                } else {
                    request(Method::GET, &format!("{location}/events"))
                };
                readers.push(connection.begin(ask.body(()).unwrap(), true).await);
            }
            // Every second one has begun to read.
            for reader in readers.iter_mut().skip(1).step_by(2) {
                assert_eq!(within(reader.head()).await.unwrap().status, 200);
                assert!(within(reader.piece()).await.unwrap().unwrap().starts_with(b"event: running\n"));
            }
            waiting.spawn(async move {
                for (number, reader) in readers.iter_mut().enumerate() {
                    if number % 2 == 0 {
                        assert_eq!(reader.response().await.status, 303);
                    } else {
                        assert!(within(reader.piece()).await.unwrap().unwrap().starts_with(b"event: canceled\n"));
                        assert_eq!(within(reader.piece()).await.unwrap(), None);
                    }
                }
                drop(connection);
            });
        }
        let canceled = submitting.fetch(request(Method::DELETE, &location).body(()).unwrap()).await;
        assert_eq!(canceled.status, 204);
        stage.gone().await;
        while let Some(done) = waiting.join_next().await {
            done.unwrap();
        }
        assert_eq!(server.operations.in_flight(), 0);
    }
}

#[tokio::test]
async fn thousands_that_wait_and_go_away_leave_nothing() {
    for front in HTTP2 {
        let (server, stage) = serve(front, Operations::builder(), AtLimit::StayInLine).await;
        let mut submitting = Http2::connect(server.address).await;
        let location = submitting.fetch(post("/work").body(()).unwrap()).await.location().to_owned();
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = Http2::connect(server.address).await;
            for number in 0..STREAMS {
                let events = request(Method::GET, &format!("{location}/events")).body(()).unwrap();
                let mut reader = connection.begin(events, true).await;
                assert_eq!(within(reader.head()).await.unwrap().status, 200);
                // Some reset their streams, some wait for their connection to end.
                if number % 2 == 0 {
                    reader.reset();
                }
                connections.push(reader);
            }
        }
        drop(connections);
        // The server and its signal, the connection at both ends, the operation, the sweeper.
        until("they are gone", || tasks() <= 6).await;
        stage.go();
        let wait = request(Method::GET, &location).header("prefer", "wait=60").body(()).unwrap();
        assert_eq!(submitting.fetch(wait).await.status, 303);
    }
}

const LIMIT: usize = 10;
const FLOOD: usize = 150;

/// Submits many requests at once, and counts the answers by their status.
async fn flood(server: &Server) -> JoinSet<(u16, Received)> {
    let mut flood = JoinSet::new();
    for _ in 0..FLOOD {
        let mut connection = Http1::connect(server.address).await;
        flood.spawn(async move {
            connection.ask(&post("/work").header("prefer", "respond-async").body(()).unwrap()).await;
            let received = connection.response().await;
            (received.status.as_u16(), received)
        });
    }
    flood
}

#[tokio::test]
async fn r7_a_flood_stays_in_line() {
    for front in HTTP1 {
        let (server, stage) = serve(front, Operations::builder().max_operations(LIMIT), AtLimit::StayInLine).await;
        let mut flood = flood(&server).await;
        for _ in 0..LIMIT {
            assert_eq!(within(flood.join_next()).await.unwrap().unwrap().0, 202);
        }
        for _ in 0..FLOOD {
            stage.started().await;
        }
        assert!(tokio::time::timeout(Duration::from_millis(60), flood.join_next()).await.is_err());
        assert_eq!(server.operations.in_flight(), LIMIT);
        stage.go_all();
        for _ in LIMIT..FLOOD {
            let (status, received) = within(flood.join_next()).await.unwrap().unwrap();
            assert_eq!((status, received.text()), (200, "done"));
        }
        until("all have ended", || server.operations.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn r7_a_flood_is_turned_away_where_the_policy_says_so() {
    for front in HTTP1 {
        let (server, stage) = serve(front, Operations::builder().max_operations(LIMIT), AtLimit::Unavailable).await;
        let mut flood = flood(&server).await;
        let mut accepted = 0;
        while let Some(answer) = within(flood.join_next()).await {
            let (status, received) = answer.unwrap();
            accepted += usize::from(status == 202);
            if status != 202 {
                assert_eq!((status, received.header("content-type")), (503, "application/problem+json"));
                assert!(received.header("retry-after").parse::<u64>().unwrap() >= 1);
            }
        }
        assert_eq!(accepted, LIMIT);
        // Those turned away have let go of their handlers.
        for _ in LIMIT..FLOOD {
            stage.gone().await;
        }
        assert_eq!(server.operations.in_flight(), LIMIT);
        stage.go_all();
        until("all have ended", || server.operations.in_flight() == 0).await;
    }
}
