//! Calls with an idempotency key.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;
use tower_respond_async::Policy;

use super::{
    stage::{Call, RENDER, Stage, response},
    studio::{Order, Picture, picture},
};

fn keyed(order: Order) -> Call {
    order.with("idempotency-key", "\"k\"")
}

#[tokio::test]
async fn calls_under_one_key_are_one_and_their_reply_is_replayed_whole() {
    let stage = Stage::new(Policy::new()).await;
    for _ in 0..2 {
        let (fields, message, _) = stage.call::<Picture>(RENDER, keyed(Order::QUICK)).await.unwrap().into_parts();
        assert_eq!(message, picture(7));
        assert_eq!(fields.get("x-studio").unwrap(), "blue");
        assert_eq!(fields.get_bin("x-seal-bin").unwrap().to_bytes().unwrap(), &b"\0\xff"[..]);
    }
    assert_eq!(stage.studio.count(), 1);
}

#[tokio::test]
async fn an_error_is_replayed_with_its_details() {
    let stage = Stage::new(Policy::new()).await;
    for _ in 0..2 {
        let status = stage.render(keyed(Order { fails: true, ..Order::QUICK })).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "cannot paint: n\u{f6} light"));
        assert_eq!(status.metadata().get("x-reason").unwrap(), "night");
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "TOO_DARK");
    }
    assert_eq!(stage.studio.count(), 1);
}

#[tokio::test]
async fn an_operation_is_found_again_by_its_key() {
    let stage = Stage::new(Policy::new().grace(Duration::ZERO)).await;
    let first = stage.begin(keyed(Order::SLOW)).await.unwrap();
    let second = stage.begin(keyed(Order::SLOW)).await.unwrap();
    assert_eq!((&first.name, first.done), (&second.name, second.done));
    stage.studio.open();
    stage.wait(&first.name).await;
    let third = stage.begin(keyed(Order::SLOW)).await.unwrap();
    assert_eq!(third.name, first.name);
    assert_eq!(response::<Picture>(&third), picture(7));
    assert_eq!(stage.studio.count(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_said_by_a_status() {
    let stage = Stage::new(Policy::new()).await;
    let malformed = stage.render(Order::QUICK.with("idempotency-key", "bare")).await.unwrap_err();
    assert_eq!(malformed.code(), Code::InvalidArgument);
    assert_eq!(malformed.get_error_details().error_info().unwrap().reason, "IDEMPOTENCY_KEY_MALFORMED");
    stage.render(keyed(Order::QUICK)).await.unwrap();
    let reused = stage.render(keyed(Order { size: 8, ..Order::QUICK })).await.unwrap_err();
    assert_eq!(reused.code(), Code::FailedPrecondition);
    assert_eq!(reused.get_error_details().error_info().unwrap().reason, "IDEMPOTENCY_KEY_REUSED");
}
