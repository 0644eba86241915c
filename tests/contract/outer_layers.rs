//! R14: outer timeouts and concurrency limits stop applying once a request is detached.

use std::{convert::Infallible, time::Duration};

use http::Response;
use tokio::time::sleep;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_respond_async::Policy;

use crate::support::{Incoming, SECOND, millis, operations, post, result, send};

/// Is answered after ten seconds.
async fn slow(_: Incoming) -> Result<Response<String>, Infallible> {
    sleep(10 * SECOND).await;
    Ok(Response::new("done".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn r14_an_outer_timeout_counts_only_in_line() {
    let operations = operations();
    let with = |budget| {
        let layer = operations.layer(Policy::new().budget(budget));
        ServiceBuilder::new().timeout(SECOND).layer(layer).service(service_fn(slow))
    };
    let accepted = send(with(millis(300)), post(&[])).await;
    assert_eq!(result(&operations, accepted.header("location")).await.body, "done");
    let error: BoxError = with(2 * SECOND).oneshot(post(&[])).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r14_an_outer_concurrency_limit_counts_only_in_line() {
    let operations = operations();
    let layer = operations.layer(Policy::new().budget(SECOND));
    let mut service = ServiceBuilder::new().concurrency_limit(1).layer(layer).service(service_fn(slow));
    for in_flight in 1..=5 {
        let call = service.ready().await.unwrap().call(post(&[]));
        let mut call = task::spawn(call);
        assert_pending!(call.poll());
        let mut next = task::spawn(async { service.ready().await.map(drop) });
        assert_pending!(next.poll(), "in line it counts");
        sleep(SECOND + millis(9)).await;
        assert_eq!(assert_ready_ok!(call.poll()).status(), 202);
        drop(call);
        assert_ready_ok!(next.poll());
        assert_eq!(operations.in_flight(), in_flight);
    }
}

#[tokio::test(start_paused = true)]
async fn r14_an_operation_has_its_own_longest_run_time() {
    let operations = operations();
    let policy = Policy::new().budget(Duration::ZERO).max_run_time(5 * SECOND);
    let service = ServiceBuilder::new().timeout(60 * SECOND).layer(operations.layer(policy)).service(service_fn(slow));
    let accepted = send(service, post(&[])).await;
    let result = result(&operations, accepted.header("location")).await;
    result.assert_problem(tower_respond_async::problem::Kind::TimedOut);
}
