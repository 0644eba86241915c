//! What the monitor, over HTTP, shows of operations that were begun over gRPC, on the same port.

use std::time::Duration;

use http_body_util::BodyExt;
use tonic::Code;
use tower_respond_async::Policy;

use super::{
    stage::{Stage, error},
    studio::Order,
};

fn at_once() -> Policy {
    Policy::new().grace(Duration::ZERO).handle(true)
}

#[tokio::test]
async fn its_status_and_its_events() {
    let stage = Stage::new(at_once()).await;
    let operation = stage.begin(Order::SLOW).await.unwrap();
    let status = stage.json(&format!("/{}/status", operation.name)).await;
    assert_eq!(status["status"], "running");
    assert_eq!(status["progress"]["fraction"], 0.5);
    let events = stage.http("GET", &format!("/{}/events", operation.name)).await;
    stage.studio.open();
    let events = events.into_body().collect().await.unwrap().to_bytes();
    let events = String::from_utf8(events.to_vec()).unwrap();
    assert!(events.contains("event: running") && events.contains("event: succeeded"), "{events}");
    assert_eq!(stage.json(&format!("/{}/status", operation.name)).await["status"], "succeeded");
}

#[tokio::test]
async fn a_failed_call_is_a_failed_operation() {
    let stage = Stage::new(at_once()).await;
    let operation = stage.begin(Order { fails: true, ..Order::SLOW }).await.unwrap();
    stage.studio.open();
    stage.wait(&operation.name).await;
    let status = stage.json(&format!("/{}/status", operation.name)).await;
    assert_eq!((&status["status"], &status["error"]["code"]), (&"failed".into(), &"400".into()));
}

#[tokio::test]
async fn its_cancellation() {
    let stage = Stage::new(at_once()).await;
    let operation = stage.begin(Order::SLOW).await.unwrap();
    assert_eq!(stage.http("DELETE", &format!("/{}", operation.name)).await.status(), 204);
    stage.studio.canceled.acquire().await.unwrap().forget();
    assert_eq!(error(&stage.get(&operation.name).await.unwrap()).code, Code::Cancelled as i32);
}

#[tokio::test]
async fn the_reply_as_it_was_sent() {
    let stage = Stage::new(at_once()).await;
    let operation = stage.begin(Order::SLOW).await.unwrap();
    stage.studio.open();
    stage.wait(&operation.name).await;
    let result = stage.http("GET", &format!("/{}/result", operation.name)).await;
    assert_eq!(
        (result.status().as_u16(), &result.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    assert_eq!(result.headers()["x-studio"], "blue");
    let body = result.into_body().collect().await.unwrap();
    // A frame of nine bytes: a field of seven.
    assert_eq!(body.to_bytes(), &b"\0\0\0\0\x09\x0a\x07\0\0\0\0\0\0\0"[..]);
}
