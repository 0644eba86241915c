//! `Idempotency-Key`: what is asked for again under the same key is done once.

use std::{
    cell::Cell,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{AtLimit, Limit, Operations, Policy, problem::Kind};

use crate::support::{
    Answer, Incoming, SECOND, assert_took, delete, millis, operations, post, reply, request, result, send, settle,
    state, timed,
};

fn keyed(key: &str) -> Request<String> {
    post(&[("idempotency-key", key)])
}

/// A request to a handler that answers after so long, and counts how often it was called.
async fn ask(
    operations: &Operations,
    policy: Policy,
    request: Request<String>,
    calls: &Arc<AtomicUsize>,
    takes: Duration,
) -> Answer {
    let service = service_fn(|_: Incoming| {
        let calls = Arc::clone(calls);
        async move {
            calls.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(takes).await;
            Ok::<_, tower::BoxError>(reply(201, "made"))
        }
    });
    send(operations.layer(policy).layer(service), request).await
}

#[tokio::test(start_paused = true)]
async fn what_is_quick_is_answered_in_line_and_its_reply_is_kept() {
    let (operations, calls) = (operations(), Arc::new(AtomicUsize::new(0)));
    for expected in [millis(100), Duration::ZERO, Duration::ZERO] {
        let asked = ask(&operations, Policy::new(), keyed("\"k\""), &calls, millis(100));
        let (answer, taken) = timed(asked).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (201, b"made".as_ref()));
        assert_eq!(answer.header("vary"), "prefer");
        assert_took(taken, expected);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_the_budget_is_one_operation_for_all_who_ask() {
    let (operations, calls) = (operations(), Arc::new(AtomicUsize::new(0)));
    let policy = Policy::new().budget(SECOND);
    let (first, taken) = timed(ask(&operations, policy.clone(), keyed("\"k\""), &calls, 10 * SECOND)).await;
    assert_took(taken, SECOND);
    assert_eq!(first.status, 202);
    let (again, taken) = timed(ask(&operations, policy.clone(), keyed("\"k\""), &calls, 10 * SECOND)).await;
    assert_took(taken, SECOND);
    assert_eq!((again.status.as_u16(), again.header("location")), (202, first.header("location")));
    let prefers = post(&[("idempotency-key", "\"k\""), ("prefer", "respond-async")]);
    let (again, taken) = timed(ask(&operations, policy.clone(), prefers, &calls, 10 * SECOND)).await;
    assert_took(taken, millis(50));
    assert_eq!(again.header("preference-applied"), "respond-async");
    assert_eq!(again.header("location"), first.header("location"));
    let waits = post(&[("idempotency-key", "\"k\""), ("prefer", "wait=30")]);
    let awaited = ask(&operations, policy.clone(), waits, &calls, 10 * SECOND).await;
    assert_eq!((awaited.status.as_u16(), awaited.body.as_ref()), (201, b"made".as_ref()));
    assert_eq!(result(&operations, first.header("location")).await.body, "made");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_free_once_its_operation_is_forgotten() {
    let (operations, calls) = (operations(), Arc::new(AtomicUsize::new(0)));
    let policy = Policy::new().budget(Duration::ZERO).retention(60 * SECOND);
    let first = ask(&operations, policy.clone(), keyed("\"k\""), &calls, SECOND).await;
    let first = first.header("location");
    result(&operations, first).await;
    assert_eq!(delete(&operations, first).await.status, 204);
    let second = ask(&operations, policy.clone(), keyed("\"k\""), &calls, SECOND).await;
    assert_ne!(second.header("location"), first);
    result(&operations, second.header("location")).await;
    tokio::time::sleep(59 * SECOND).await;
    assert_eq!(ask(&operations, policy.clone(), keyed("\"k\""), &calls, SECOND).await.status, 201);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(ask(&operations, policy, keyed("\"k\""), &calls, SECOND).await.status, 202);
    settle().await;
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn another_request_under_the_key_and_what_is_no_key_are_refused() {
    let (operations, calls) = (operations(), Arc::new(AtomicUsize::new(0)));
    ask(&operations, Policy::new(), keyed("\"k\""), &calls, Duration::ZERO).await;
    let other = request(Method::POST, "/jobs?other", &[("idempotency-key", "\"k\"")]);
    let refused = ask(&operations, Policy::new(), other, &calls, Duration::ZERO).await;
    refused.assert_problem(Kind::IdempotencyKeyReused);
    let refused = ask(&operations, Policy::new(), keyed("k"), &calls, Duration::ZERO).await;
    refused.assert_problem(Kind::IdempotencyKeyMalformed);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let dishonored = Policy::new().honor_idempotency_key(false);
    assert_eq!(ask(&operations, dishonored, keyed("k"), &calls, Duration::ZERO).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn r4_who_hangs_up_does_not_cancel_what_has_a_key() {
    let (operations, (alive, mut gone)) = (operations(), oneshot::channel::<()>());
    let alive = Cell::new(Some(alive));
    let service = service_fn(|_: Incoming| {
        let alive = alive.take();
        async {
            let _alive = alive;
            pending::<Result<_, tower::BoxError>>().await.map(|()| reply(200, ""))
        }
    });
    let asked = operations.layer(Policy::new()).layer(service).oneshot(keyed("\"k\""));
    assert!(tokio::time::timeout(millis(10), asked).await.is_err());
    settle().await;
    assert_eq!(operations.in_flight(), 1);
    gone.try_recv().unwrap_err();
    let calls = Arc::new(AtomicUsize::new(0));
    let again = ask(&operations, Policy::new(), keyed("\"k\""), &calls, Duration::ZERO).await;
    assert_eq!((again.status.as_u16(), calls.load(Ordering::Relaxed)), (202, 0));
    assert_eq!(delete(&operations, again.header("location")).await.status, 204);
    gone.await.unwrap_err();
    assert_eq!(state(&operations, again.header("location")).await, "canceled");
}

#[tokio::test(start_paused = true)]
async fn r7_a_retry_needs_no_room_of_its_own() {
    let operations = Operations::builder().max_operations(1).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let policy = Policy::new().budget(Duration::ZERO);
    let first = ask(&operations, policy.clone(), keyed("\"k\""), &calls, 10 * SECOND).await;
    let again = ask(&operations, policy.clone(), keyed("\"k\""), &calls, 10 * SECOND).await;
    assert_eq!(again.header("location"), first.header("location"));
    let other = ask(&operations, policy, keyed("\"other\""), &calls, SECOND).await;
    assert_eq!(other.status, 503, "what is to be done once is not done where nobody remembers it");
    assert!(other.headers.contains_key("retry-after"));
    assert_eq!(operations.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn r13_what_cannot_be_kept_is_done_each_time_as_without_a_key() {
    let (operations, calls) = (operations(), Arc::new(AtomicUsize::new(0)));
    let passes = [("upgrade", "websocket"), ("content-type", "application/grpc")];
    let headers = |more| [("idempotency-key", "\"k\""), more];
    let mut requests: Vec<_> =
        passes.iter().flat_map(|header| [post(&headers(*header)), post(&headers(*header))]).collect();
    requests.extend(["123456789"; 2].map(|body| keyed("\"k\"").map(|_| body.to_owned())));
    let expected = requests.len();
    for request in requests {
        let answer = ask(&operations, Policy::new().max_request_body(8), request, &calls, Duration::ZERO).await;
        assert_eq!(answer.status, 201);
    }
    assert_eq!(calls.load(Ordering::Relaxed), expected);
    let policy = Policy::new().max_request_body(8).at_limit(Limit::RequestBody, AtLimit::Unavailable);
    let request = keyed("\"k\"").map(|_| "123456789".to_owned());
    assert_eq!(ask(&operations, policy, request, &calls, Duration::ZERO).await.status, 503);
    assert_eq!(calls.load(Ordering::Relaxed), expected);
}
