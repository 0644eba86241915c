//! Clients that ask for an operation.

use std::time::Duration;

use axum::Router;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use prost::Message;
use tonic::Code;
use tonic_types::{StatusExt, pb};
use tower::util::MapResponseLayer;
use tower_respond_async::{
    AtLimit, Policy,
    longrunning::messages::{CancelOperationRequest, Operation, operation_metadata::State},
};

use super::{
    stage::{RENDER, Stage, builder, error, metadata, response},
    studio::{Order, Picture, Studio, methods, picture},
};

fn at_once() -> Policy {
    Policy::new().grace(Duration::ZERO)
}

#[tokio::test]
async fn over_the_grace_the_answer_is_an_operation_that_ends_in_the_methods_reply() {
    let stage = Stage::new(at_once().handle(true)).await;
    let operation = stage.begin(Order::SLOW).await.unwrap();
    assert!(!operation.done && operation.result.is_none(), "{operation:?}");
    assert!(operation.name.starts_with("operations/"));
    let begun = metadata(&operation);
    assert_eq!((begun.route.as_str(), begun.state(), begun.attempt), (RENDER, State::Running, 1));
    assert!(begun.create_time.is_some());

    let running = stage.get(&operation.name).await.unwrap();
    assert!(!running.done);
    assert_eq!(metadata(&running).progress.unwrap().fraction, 0.5);
    stage.studio.open();
    let ended = stage.wait(&operation.name).await;
    assert_eq!(response::<Picture>(&ended), picture(7));
    assert_eq!(metadata(&ended).state(), State::Succeeded);
}

#[tokio::test]
async fn an_expired_operation_is_as_unknown_as_one_that_never_was() {
    let stage = Stage::new(at_once().retention(Duration::from_millis(1))).await;
    let operation = stage.begin(Order::SLOW).await.unwrap();
    stage.studio.open();
    let expired = loop {
        if let Err(expired) = stage.get(&operation.name).await {
            break expired;
        }
    };
    let unknown = stage.get("operations/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa").await.unwrap_err();
    assert_eq!(expired.code(), Code::NotFound);
    assert_eq!((expired.message(), expired.details()), (unknown.message(), unknown.details()));
}

#[tokio::test]
async fn within_the_grace_the_answer_is_a_done_operation_with_the_methods_metadata() {
    let stage = Stage::new(Policy::new().grace(Duration::from_secs(60))).await;
    let call = Order::QUICK.with("prefer", "respond-async");
    let (fields, operation, _) = stage.call::<Operation>(RENDER, call).await.unwrap().into_parts();
    assert!(operation.done);
    assert_eq!(response::<Picture>(&operation), picture(7));
    assert_eq!((metadata(&operation).route.as_str(), metadata(&operation).state()), (RENDER, State::Succeeded));
    assert_eq!(fields.get("x-studio").unwrap(), "blue");
    assert_eq!(fields.get_bin("x-seal-bin").unwrap().to_bytes().unwrap(), &b"\0\xff"[..]);
    // It has never been stored.
    assert_eq!(stage.get(&operation.name).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn what_fails_within_the_grace_fails_as_without_the_layer() {
    let stage = Stage::new(Policy::new().grace(Duration::from_secs(60))).await;
    let status = stage.begin(Order { fails: true, ..Order::QUICK }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "cannot paint: n\u{f6} light"));
    assert_eq!(status.metadata().get("x-reason").unwrap(), "night");
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "size");
    assert_eq!(details.error_info().unwrap().metadata["pixels"], "7");
}

#[tokio::test]
async fn what_fails_later_is_the_operations_error_with_its_details() {
    let stage = Stage::new(at_once()).await;
    let operation = stage.begin(Order { fails: true, ..Order::SLOW }).await.unwrap();
    stage.studio.open();
    let ended = stage.wait(&operation.name).await;
    let status = error(&ended);
    assert_eq!((status.code, status.message.as_str()), (Code::InvalidArgument as i32, "cannot paint: n\u{f6} light"));
    let types: Vec<_> = status.details.iter().map(|any| any.type_url.as_str()).collect();
    assert_eq!(types, ["type.googleapis.com/google.rpc.ErrorInfo", "type.googleapis.com/google.rpc.BadRequest"]);
    assert_eq!(pb::ErrorInfo::decode(&*status.details[0].value).unwrap().reason, "TOO_DARK");
    assert_eq!(metadata(&ended).state(), State::Failed);
}

#[tokio::test]
async fn trailing_metadata_survives() {
    let with_cost = |response: Response<axum::body::Body>| {
        response.map(|body| {
            axum::body::Body::new(body.map_frame(|frame| match frame.into_trailers() {
                Ok(mut trailers) => {
                    trailers.insert("x-cost", "7".parse().unwrap());
                    Frame::trailers(trailers)
                }
                Err(frame) => frame,
            }))
        })
    };
    let operations = builder().build().unwrap();
    let studio = Studio::new(None);
    let app = Router::new()
        .route_service("/studio.v1.Studio/{method}", studio.clone())
        .layer(MapResponseLayer::new(with_cost))
        .layer(operations.layer(Policy::new().grace(Duration::from_secs(60))).grpc(&methods()));
    let stage = Stage::serve(app, operations, studio).await;
    for preference in
        [("x-other", ""), ("prefer", "respond-async"), ("idempotency-key", "\"k\""), ("idempotency-key", "\"k\"")]
    {
        let answer =
            stage.call::<()>(RENDER, Order { size: 0, ..Order::QUICK }.with(preference.0, preference.1)).await.unwrap();
        assert_eq!(answer.metadata().get("x-cost").unwrap(), "7", "{preference:?}");
    }
}

#[tokio::test]
async fn a_canceled_operation_drops_its_handler() {
    let stage = Stage::new(at_once()).await;
    let operation = stage.begin(Order::SLOW).await.unwrap();
    let request = CancelOperationRequest { name: operation.name.clone() };
    stage.client().cancel_operation(request).await.unwrap();
    stage.studio.canceled.acquire().await.unwrap().forget();
    assert_eq!(error(&stage.get(&operation.name).await.unwrap()).code, Code::Cancelled as i32);
}

#[tokio::test]
async fn a_wait_that_the_client_names_comes_before_the_grace() {
    let stage = Stage::new(at_once()).await;
    let call = Order::QUICK.with("prefer", "respond-async, wait=30");
    let answer = stage.call::<Operation>(RENDER, call).await.unwrap();
    assert!(answer.get_ref().done);
}

#[tokio::test]
async fn a_call_that_is_declined_is_answered_by_a_done_operation_in_the_end() {
    let operations = builder().max_operations(1).build().unwrap();
    let stage = Stage::of(operations, Studio::new(None), at_once()).await;
    let first = stage.begin(Order::SLOW).await.unwrap();
    let (second, ()) = tokio::join!(stage.begin(Order::SLOW), async {
        stage.studio.begun().await;
        stage.studio.begun().await;
        stage.studio.open();
        stage.studio.open();
    });
    let second = second.unwrap();
    assert!(second.done);
    assert_eq!(response::<Picture>(&second), picture(7));
    assert!(stage.wait(&first.name).await.done);
}

#[tokio::test]
async fn where_the_policy_says_so_a_call_that_is_declined_is_turned_away() {
    let operations = builder().max_operations(1).build().unwrap();
    let stage = Stage::of(operations, Studio::new(None), at_once().at_every_limit(AtLimit::Unavailable)).await;
    stage.begin(Order::SLOW).await.unwrap();
    let status = stage.begin(Order::SLOW).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let delay = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert!(delay >= Duration::from_secs(1));
    stage.studio.canceled.acquire().await.unwrap().forget();
}
