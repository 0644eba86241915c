//! A backend that fails.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{StatusCode, header};
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    backend::{self, Backend},
    client::{FOLLOW, get, json_of, location_of, post, send},
    process::Gateway,
};

#[tokio::test]
async fn without_a_backend_the_answer_is_502() {
    let address = backend::no_address().await;
    let gateway = Gateway::start(&address, "[defaults]\nbudget = '20s'");
    let response = send(&gateway, post("/quick", &[])).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let expected = json!({
        "type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": "the backend cannot be reached",
    });
    assert_eq!(json_of(response).await, expected);
}

#[tokio::test]
async fn a_backend_that_never_answers_is_given_up_in_line_and_detached() {
    let backend = Backend::start().await;
    let configuration = "upstream_timeout = '500ms'\n[[routes]]\npath = '/slow'\nbudget = '50ms'";
    let gateway = Gateway::start(&backend.address, configuration);
    let in_line = send(&gateway, get("/slow", &[])).await;
    assert_eq!(in_line.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(json_of(in_line).await["status"], 504);

    let accepted = send(&gateway, post("/slow", &[])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let failed = send(&gateway, get(&location_of(&accepted), &FOLLOW)).await;
    let result = send(&gateway, get(&location_of(&failed), &[])).await;
    assert_eq!(result.status(), StatusCode::GATEWAY_TIMEOUT);
    let status = json_of(send(&gateway, get(&format!("{}/status", location_of(&accepted)), &[])).await).await;
    assert_eq!(status["status"], "failed");
    assert_eq!(status["error"]["code"], "service-error");
}

/// Its queue of connections is full, so the next one is never made.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_backend_that_takes_no_connection_is_given_up() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
    }
    let gateway = Gateway::start(&address.to_string(), "connect_timeout = '300ms'");
    let response = send(&gateway, get("/quick", &[])).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(json_of(response).await["detail"], "the backend could not be reached in time");
}

#[tokio::test]
async fn a_reply_that_breaks_off_never_looks_whole() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = '100ms'");

    let broken = send(&gateway, get("/dying", &[])).await;
    assert_eq!(broken.status(), StatusCode::OK);
    backend.release(1);
    assert!(broken.collect().await.is_err());

    let accepted = send(&gateway, post("/slow-and-dying", &[])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    backend.release(2);
    let failed = send(&gateway, get(&location_of(&accepted), &FOLLOW)).await;
    let result = send(&gateway, get(&location_of(&failed), &[])).await;
    assert_eq!(result.status(), StatusCode::BAD_GATEWAY);
    assert!(json_of(result).await["type"].as_str().unwrap().ends_with("#service-error"));
}
