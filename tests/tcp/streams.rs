//! R13: what is more than one request and one reply passes through untouched, whatever the budget.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_respond_async::Policy;

use crate::{
    client::{Exchange, Framing, Http1, post, within},
    server::{ALL, Front, HTTP2, Server, patient},
    stage::Stage,
};

/// Detaches what it may, as soon as it can.
fn at_once() -> Policy {
    Policy::new().budget(Duration::ZERO).methods([Method::GET, Method::POST, Method::CONNECT])
}

/// Takes its time, then switches protocols, and says everything back in capitals.
async fn upgrade(stage: Stage, request: Request<Body>) -> Response<Body> {
    stage.enter();
    stage.wait().await;
    let response = match request.headers().get("upgrade") {
        Some(protocol) => Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", protocol),
        None => Response::builder(),
    };
    tokio::spawn(async move {
        let mut connection = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut said = [0; 5];
        while connection.read_exact(&mut said).await.is_ok() {
            connection.write_all(&said.to_ascii_uppercase()).await.unwrap();
        }
        stage.has_finished();
    });
    response.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn r13_an_upgraded_connection_works() {
    let heads = [
        "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\nprefer: respond-async\r\n\r\n",
        "POST /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: chat\r\ncontent-length: 0\r\n\r\n",
        "CONNECT elsewhere:1 HTTP/1.1\r\nhost: elsewhere:1\r\n\r\n",
    ];
    for front in [Front::Axum, Front::Auto] {
        for head in heads {
            let stage = Stage::new();
            let handler = stage.clone();
            let server = Server::start(front, at_once(), move |request| upgrade(handler.clone(), request)).await;
            let mut connection = Http1::connect(server.address).await;
            connection.write(head).await;
            stage.started().await;
            stage.go();
            let expected = if head.starts_with("CONNECT") { 200 } else { 101 };
            assert_eq!(within(connection.head()).await.unwrap().status, expected, "{front:?} {head}");
            for said in ["hello", "world"] {
                connection.write(said).await;
                assert_eq!(connection.raw(5).await, said.to_ascii_uppercase().as_bytes());
            }
            drop(connection);
            stage.finished().await;
            assert_eq!(server.operations.in_flight(), 0);
        }
    }
}

/// Bytes, and bytes back, before more are sent; then trailers, and trailers back.
async fn converse(exchange: &mut Exchange) {
    let head = exchange.head().await;
    assert_eq!(head.status, 200);
    for message in [&b"\0\0\0\0\x05hello"[..], b"x", &[7; 20_000]] {
        exchange.send(message).await;
        let mut back = Vec::new();
        while back.len() < message.len() {
            back.extend_from_slice(&exchange.piece().await.unwrap().unwrap());
        }
        assert!(back == message);
    }
    let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
    exchange.end(Some(trailers)).await;
    let rest = exchange.rest(head).await.unwrap();
    assert_eq!(rest.body.len(), 0);
    assert_eq!(rest.trailers.expect("trailers")["grpc-status"], "0");
}

#[tokio::test]
async fn r13_grpc_passes_frame_by_frame() {
    for front in HTTP2 {
        for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web"] {
            let stage = Stage::new();
            let handler = stage.clone();
            let server = Server::start(front, at_once(), move |request: Request<Body>| {
                let stage = handler.clone();
                async move {
                    stage.enter();
                    stage.wait().await;
                    Response::new(request.into_body())
                }
            })
            .await;
            let request = post("/chat.Chat/Talk").header("content-type", content_type).header("te", "trailers");
            let request = request.header("prefer", "respond-async").body(()).unwrap();
            let mut exchange = Exchange::begin(server.address, Framing::Http2, request, 0).await;
            stage.started().await;
            exchange.silent().await;
            stage.go();
            converse(&mut exchange).await;
            assert_eq!(server.operations.in_flight(), 0);
        }
    }
}

/// A response that begins before its request has ended is answered in line, and both go on.
#[tokio::test]
async fn r13_a_response_may_begin_before_its_request_ends() {
    for (front, framing) in ALL {
        if framing == Framing::Length {
            continue;
        }
        for policy in [patient(), at_once()] {
            let server = Server::start(front, policy, |request: Request<Body>| async move {
                Response::builder().header("trailer", "grpc-status").body(request.into_body()).unwrap()
            })
            .await;
            let request = post("/chat").header("te", "trailers").body(()).unwrap();
            let mut exchange = Exchange::begin(server.address, framing, request, 0).await;
            converse(&mut exchange).await;
        }
    }
}
