//! `WaitOperation`: how long it takes.

use std::time::Duration;

use http::{Method, Request};
use tokio::time::Instant;
use tonic::Code;
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{
    Operations, Policy, RequestBody,
    longrunning::{LongRunning, OperationsClient, messages::WaitOperationRequest},
};

use crate::{
    client::within,
    engines::on_every_store,
    stage::{Stage, of},
};

on_every_store! {
    a_wait_wakes_when_the_operation_is_done
}

fn lasting(name: &str, wait: Duration) -> WaitOperationRequest {
    WaitOperationRequest { name: name.to_owned(), timeout: Some(wait.try_into().unwrap()) }
}

async fn a_wait_wakes_when_the_operation_is_done(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    let mut client = server.client();
    let request = of("ann", lasting(&name, Duration::from_secs(3_600)));
    let waiting = tokio::spawn(async move { client.wait_operation(request).await });
    // Whether the wait has begun or not, it is over when the work is.
    stage.work.go(1);
    assert!(within(waiting).await.unwrap().unwrap().into_inner().done);
    let again = of("ann", lasting(&name, Duration::from_secs(3_600)));
    assert!(within(server.client().wait_operation(again)).await.unwrap().into_inner().done);
}

/// The name of an operation that takes ten seconds, and the service, without a network: time is made to pass.
async fn taking_ten_seconds(policy: Policy) -> (String, OperationsClient<LongRunning>) {
    let operations = Operations::builder().build().unwrap();
    let layer = operations.layer(policy.budget(Duration::ZERO));
    let service = layer.layer(service_fn(|_: Request<RequestBody<String>>| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    }));
    let request = Request::builder().method(Method::POST).uri("/jobs").body(String::new()).unwrap();
    let accepted = service.oneshot(request).await.unwrap();
    let name = accepted.headers()["location"].to_str().unwrap().trim_start_matches('/').to_owned();
    (name, OperationsClient::new(operations.longrunning()))
}

/// How long a wait takes, to the millisecond of a clock that stands still meanwhile, and whether the operation is done.
async fn waited(policy: Policy, wait: impl FnOnce(&str) -> tonic::Request<WaitOperationRequest>) -> (u128, bool) {
    let (name, mut client) = taking_ten_seconds(policy).await;
    let begun = Instant::now();
    let operation = client.wait_operation(wait(&name)).await.unwrap().into_inner();
    (begun.elapsed().as_millis(), operation.done)
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_shortest_of_its_limits() {
    let seconds = Duration::from_secs;
    let timeout = |wait| move |name: &str| tonic::Request::new(lasting(name, wait));
    assert_eq!(waited(Policy::new(), timeout(seconds(4))).await, (4_000, false));
    assert_eq!(waited(Policy::new(), timeout(Duration::ZERO)).await, (0, false));
    assert_eq!(waited(Policy::new().longest_wait(seconds(3)), timeout(seconds(4))).await, (3_000, false));
    assert_eq!(waited(Policy::new().honor_wait(false), timeout(seconds(4))).await, (0, false));

    let call = |deadline: Duration, timeout: Option<Duration>| {
        move |name: &str| {
            let timeout = timeout.map(|timeout| timeout.try_into().unwrap());
            let mut request = tonic::Request::new(WaitOperationRequest { name: name.to_owned(), timeout });
            request.set_timeout(deadline);
            request
        }
    };
    assert_eq!(waited(Policy::new(), call(seconds(2), None)).await, (1_800, false));
    assert_eq!(waited(Policy::new(), call(seconds(8), None)).await, (7_500, false));
    assert_eq!(waited(Policy::new(), call(seconds(2), Some(seconds(1)))).await, (1_000, false));
    assert_eq!(waited(Policy::new(), call(seconds(2), Some(seconds(9)))).await, (1_800, false));
}

#[tokio::test(start_paused = true)]
async fn a_wait_wakes_at_once() {
    let whole = |name: &str| tonic::Request::new(WaitOperationRequest { name: name.to_owned(), timeout: None });
    for longest in [Duration::from_secs(60), Duration::MAX] {
        let (waited, done) = waited(Policy::new().longest_wait(longest), whole).await;
        assert!(done);
        assert_eq!(waited, 10_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_waits() {
    let operations = Operations::builder().build().unwrap();
    let layer = operations.layer(Policy::new().budget(Duration::ZERO));
    let service = layer.layer(service_fn(|_: Request<RequestBody<String>>| {
        std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
    }));
    let request = Request::builder().method(Method::POST).uri("/jobs").body(String::new()).unwrap();
    let accepted = service.oneshot(request).await.unwrap();
    let name = accepted.headers()["location"].to_str().unwrap().trim_start_matches('/').to_owned();
    let mut client = OperationsClient::new(operations.longrunning());
    let waiting = tokio::spawn(async move { client.wait_operation(lasting(&name, Duration::from_secs(50))).await });
    operations.drain(Duration::from_secs(1)).await;
    assert!(waiting.await.unwrap().unwrap().into_inner().done);
}

#[tokio::test]
async fn a_negative_wait_is_refused() {
    let (name, mut client) = taking_ten_seconds(Policy::new()).await;
    let timeout = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let error = client.wait_operation(WaitOperationRequest { name, timeout }).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}
