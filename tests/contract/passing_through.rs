//! R13: protocol upgrades, CONNECT and gRPC streams pass through untouched.

use std::convert::Infallible;

use http::{Method, Request, Response};
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_respond_async::Policy;

use crate::support::{Incoming, SECOND, operations, request, send};

#[derive(Clone)]
struct OnUpgrade;

/// Sends a request to a handler that takes a minute, under a policy that would detach it at once.
async fn assert_untouched(request: Request<String>) {
    let operations = operations();
    let service = service_fn(|request: Incoming| async move {
        sleep(60 * SECOND).await;
        assert!(request.extensions().get::<OnUpgrade>().is_some());
        assert!(request.extensions().get::<tower_respond_async::OperationHandle>().is_none());
        Ok::<_, Infallible>(Response::builder().status(101).body("switched".to_owned()).unwrap())
    });
    let methods = [Method::GET, Method::POST, Method::CONNECT];
    let policy = Policy::new().methods(methods).budget(SECOND).handle(true);
    let mut request = request;
    request.extensions_mut().insert(OnUpgrade);
    request.headers_mut().insert("prefer", "respond-async, wait=0".parse().unwrap());
    let answer = send(operations.layer(policy).layer(service), request).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (101, &b"switched"[..]));
    assert!(answer.names().is_empty(), "not even Vary");
}

#[tokio::test(start_paused = true)]
async fn r13_upgrades() {
    assert_untouched(request(Method::GET, "/chat", &[("connection", "upgrade"), ("upgrade", "websocket")])).await;
    assert_untouched(request(Method::POST, "/chat", &[("upgrade", "h2c")])).await;
}

#[tokio::test(start_paused = true)]
async fn r13_connect() {
    assert_untouched(request(Method::CONNECT, "example.com:443", &[])).await;
}

#[tokio::test(start_paused = true)]
async fn r13_grpc() {
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web-text", "Application/GRPC"]
    {
        assert_untouched(request(Method::POST, "/service/Method", &[("content-type", content_type)])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r13_and_nothing_else() {
    for content_type in ["application/json", "application/gr", "text/plain; x=application/grpc"] {
        let service = service_fn(|_: Incoming| std::future::pending::<Result<Response<String>, Infallible>>());
        let request = request(Method::POST, "/jobs", &[("content-type", content_type), ("te", "trailers")]);
        let answer = send(operations().layer(Policy::new()).layer(service), request).await;
        assert_eq!(answer.status, 202, "{content_type}");
    }
}
