//! Answers as they are on the wire, where tonic's client would take others for the same.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use prost::Message;
use tower_respond_async::{AtLimit, Limit, OnBudget, Operations, Policy, longrunning::messages::Operation};

use super::{
    stage::{RENDER, Stage},
    studio::{Order, Studio},
};

async fn call(stage: &Stage, order: Order, prefers: bool) -> Response<Incoming> {
    let message = order.encode_to_vec();
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend_from_slice(&message);
    let mut request = Request::post(format!("http://{}{RENDER}", stage.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if prefers {
        request = request.header("prefer", "respond-async");
    }
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Body>();
    client.request(request.body(framed.into()).unwrap()).await.unwrap()
}

fn hasty() -> Policy {
    Policy::new().budget(Duration::ZERO).grace(Duration::ZERO).on_budget(OnBudget::Status)
}

/// The status of an answer that is nothing but a head.
#[track_caller]
fn trailers_only(answer: &Response<Incoming>) -> &str {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert!(answer.body().is_end_stream(), "the stream ends with the head");
    answer.headers()["grpc-status"].to_str().unwrap()
}

#[tokio::test]
async fn who_is_told_by_a_status_is_told_by_trailers_only() {
    let stage = Stage::new(hasty()).await;
    let answer = call(&stage, Order::SLOW, false).await;
    assert_eq!(trailers_only(&answer), "4");
    assert!(answer.headers().contains_key("grpc-status-details-bin"));
    assert!(answer.headers()["location"].to_str().unwrap().starts_with("operations/"));
    stage.studio.open();
}

#[tokio::test]
async fn who_is_turned_away_is_told_by_trailers_only() {
    let operations = Operations::builder().max_operations(1).build().unwrap();
    let policy = hasty().at_limit(Limit::Operations, AtLimit::Unavailable);
    let stage = Stage::of(operations, Studio::new(None), policy).await;
    stage.begin(Order::SLOW).await.unwrap();
    let answer = call(&stage, Order::SLOW, true).await;
    assert_eq!(trailers_only(&answer), "8");
}

#[tokio::test]
async fn an_operation_is_one_message_and_a_trailer() {
    let stage = Stage::new(hasty()).await;
    let answer = call(&stage, Order::SLOW, true).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert!(!answer.headers().contains_key("grpc-status"));
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    let mut bytes: Bytes = body.to_bytes();
    let head = bytes.split_to(5);
    assert_eq!(head[0], 0);
    assert_eq!(u32::from_be_bytes(head[1..].try_into().unwrap()) as usize, bytes.len());
    assert!(!Operation::decode(bytes).unwrap().done);
    stage.studio.open();
}
