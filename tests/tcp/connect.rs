//! R13: tunnels over HTTP/2 (RFC 9113, section 8.5, and RFC 8441) pass through untouched, whatever the budget.

use std::{net::SocketAddr, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use http::{Method, Request, Response, response};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_respond_async::Policy;

use crate::{
    client::{request, within},
    server::{Front, HTTP2, Server},
    stage::{Stage, until},
};

/// Detaches what it may, as soon as it can.
fn at_once() -> Policy {
    Policy::new().budget(Duration::ZERO).methods([Method::CONNECT])
}

/// Takes its time, then opens the tunnel, and says everything back in capitals.
async fn open(stage: Stage, request: Request<Body>) -> Response<Body> {
    stage.enter();
    stage.wait().await;
    tokio::spawn(async move {
        let mut tunnel = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut said = [0; 5];
        while tunnel.read_exact(&mut said).await.is_ok() {
            tunnel.write_all(&said.to_ascii_uppercase()).await.unwrap();
        }
        stage.has_finished();
    });
    Response::new(Body::empty())
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let (requests, connection) =
        within(h2::client::handshake(TcpStream::connect(address).await.unwrap())).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// Asks for a tunnel, and lets the handler open it once it has been asked.
async fn tunnel(
    requests: &mut SendRequest<Bytes>,
    stage: &Stage,
    request: Request<()>,
) -> (response::Parts, SendStream<Bytes>, RecvStream) {
    let (response, sender) = requests.send_request(request, false).unwrap();
    stage.started().await;
    stage.go();
    let (head, receiver) = within(response).await.unwrap().into_parts();
    (head, sender, receiver)
}

async fn assert_works(
    stage: &Stage,
    (head, mut sender, mut receiver): (response::Parts, SendStream<Bytes>, RecvStream),
) {
    assert_eq!(head.status, 200);
    for name in ["vary", "location", "retry-after"] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    for (said, heard) in [("hello", "HELLO"), ("there", "THERE")] {
        sender.send_data(Bytes::from(said), false).unwrap();
        assert_eq!(within(receiver.data()).await.unwrap().unwrap(), heard);
    }
    sender.send_data(Bytes::new(), true).unwrap();
    stage.finished().await;
    assert!(within(receiver.data()).await.is_none_or(|last| last.unwrap().is_empty()));
}

#[tokio::test]
async fn r13_connect() {
    for front in HTTP2 {
        for prefer in ["", "respond-async, wait=0"] {
            let stage = Stage::new();
            let handler = stage.clone();
            let server = Server::start(front, at_once(), move |request| open(handler.clone(), request)).await;
            let mut requests = connect(server.address).await;
            let connect = request(Method::CONNECT, "elsewhere:443").header("prefer", prefer).body(()).unwrap();
            assert_works(&stage, tunnel(&mut requests, &stage, connect).await).await;
            assert_eq!(server.operations.in_flight(), 0);
        }
    }
}

#[tokio::test]
async fn r13_a_web_socket() {
    let stage = Stage::new();
    let handler = stage.clone();
    // The only one of them that offers it.
    let server = Server::start(Front::Axum, at_once(), move |request| open(handler.clone(), request)).await;
    let mut requests = connect(server.address).await;
    until("the server offers it", || requests.is_extended_connect_protocol_enabled()).await;
    let mut chat = request(Method::CONNECT, "http://test/chat").body(()).unwrap();
    chat.extensions_mut().insert(Protocol::from_static("websocket"));
    assert_works(&stage, tunnel(&mut requests, &stage, chat).await).await;
    assert_eq!(server.operations.in_flight(), 0);
}
