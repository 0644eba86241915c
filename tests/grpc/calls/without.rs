//! Clients that do not ask for an operation.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;
use tower_respond_async::{OnBudget, OnDisconnect, Policy};

use super::{
    stage::{Call, RENDER, Stage, response},
    studio::{Order, Picture, picture},
};

fn over_at_once() -> Policy {
    Policy::new().budget(Duration::ZERO)
}

#[tokio::test]
async fn by_default_they_wait_whatever_the_budget_is() {
    let stage = Stage::new(over_at_once()).await;
    for order in [Call::from(Order::SLOW), Order::SLOW.with("prefer", "wait=0"), Order::SLOW.with("prefer", "other")] {
        let (picture_of, ()) = tokio::join!(stage.render(order), async {
            stage.studio.begun().await;
            assert_eq!(stage.operations.in_flight(), 0);
            stage.studio.open();
        });
        assert_eq!(picture_of.unwrap(), picture(7));
    }
}

#[tokio::test]
async fn where_the_policy_says_so_they_are_told_by_a_status_where_their_work_goes_on() {
    let stage = Stage::new(over_at_once().on_budget(OnBudget::Status)).await;
    let status = stage.render(Order::SLOW).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let name = status.metadata().get("location").unwrap().to_str().unwrap();
    let details = status.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (resource.resource_type.as_str(), resource.resource_name.as_str()),
        ("google.longrunning.Operation", name)
    );
    assert!(details.retry_info().unwrap().retry_delay.unwrap() >= Duration::from_secs(1));
    assert!(!stage.get(name).await.unwrap().done);
    stage.studio.open();
    assert_eq!(response::<Picture>(&stage.wait(name).await), picture(7));
}

#[tokio::test]
async fn what_ends_within_the_budget_is_the_methods_own_reply() {
    let stage = Stage::new(Policy::new().budget(Duration::from_secs(60)).on_budget(OnBudget::Status)).await;
    let (fields, message, _) = stage.call::<Picture>(RENDER, Order::QUICK).await.unwrap().into_parts();
    assert_eq!(message, picture(7));
    assert_eq!(fields.get("x-studio").unwrap(), "blue");
    assert!(fields.get("vary").is_none());
    let status = stage.render(Order { fails: true, ..Order::QUICK }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "cannot paint: n\u{f6} light"));
}

#[tokio::test]
async fn they_are_answered_before_their_deadline() {
    let stage = Stage::new(Policy::new().budget(Duration::from_secs(60)).on_budget(OnBudget::Status)).await;
    // Told by the server, and not enforced by the client.
    let status = stage.render(Order::SLOW.with("grpc-timeout", "2S")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.metadata().get("location").is_some());
    let operation = stage.begin(Order::SLOW.with("prefer", "respond-async, wait=60").with("grpc-timeout", "2S")).await;
    assert!(!operation.unwrap().done);
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_call() {
    let stage = Stage::new(over_at_once()).await;
    tokio::select! {
        answer = stage.render(Order::SLOW) => panic!("{answer:?}"),
        () = stage.studio.begun() => {}
    }
    stage.studio.canceled.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn where_the_policy_says_so_its_call_goes_on() {
    let stage = Stage::new(Policy::new().on_disconnect(OnDisconnect::Detach)).await;
    tokio::select! {
        answer = stage.render(Order::SLOW.with("x-user", "ann")) => panic!("{answer:?}"),
        () = stage.studio.begun() => {}
    }
    let operation = stage.only_operation_of("ann").await;
    stage.studio.open();
    assert_eq!(response::<Picture>(&stage.wait_as("ann", &operation.name).await), picture(7));
}
