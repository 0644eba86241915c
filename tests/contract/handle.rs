//! The handler's view of its operation.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::Response;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{OperationHandle, Policy, Progress, State, problem::Kind};

use crate::support::{
    Incoming, Job, SECOND, delete, detach, get, operations, post, reply, request, result, send, settle,
};

#[tokio::test(start_paused = true)]
async fn it_is_in_the_extensions_only_where_the_policy_says_so() {
    for handle in [true, false] {
        let service = service_fn(|request: Incoming| async move {
            assert_eq!(request.extensions().get::<OperationHandle>().is_some(), handle);
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let answer = send(operations().layer(Policy::new().handle(handle)).layer(service), post(&[])).await;
        assert_eq!(answer.status, 200);
    }
    let service = service_fn(|request: Incoming| async move {
        assert!(request.extensions().get::<OperationHandle>().is_none());
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let get = request(http::Method::GET, "/jobs", &[]);
    send(operations().layer(Policy::new().handle(true)).layer(service), get).await;
}

#[tokio::test(start_paused = true)]
async fn its_id_is_the_one_in_location() {
    let Job { location, handle, .. } = Job::begin(&operations(), Policy::new()).await;
    assert_eq!(location, format!("/operations/{}", handle.id()));
}

#[tokio::test(start_paused = true)]
async fn its_state_is_the_operations() {
    for (status, state) in [(200, State::Succeeded), (500, State::Failed)] {
        let operations = operations();
        let job = Job::begin(&operations, Policy::new()).await;
        let handle = job.handle.clone();
        assert_eq!((handle.state(), handle.is_canceled(), handle.is_detached()), (State::Running, false, true));
        job.reply(reply(status, "")).await;
        assert_eq!((handle.state(), handle.is_canceled()), (state, true));
    }
}

#[tokio::test(start_paused = true)]
async fn progress_of_what_has_ended_changes_nothing() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let handle = job.handle.clone();
    let status = job.path("status");
    job.reply(reply(200, "")).await;
    let before = get(&operations, &status).await;
    handle.set_progress(Progress::new(0.5).message("late"));
    assert_eq!(get(&operations, &status).await.body, before.body);
}

/// Takes the handle out of the handler, to a task of its own as blocking work would have it, and never answers.
async fn taken_away(operations: &tower_respond_async::Operations, policy: Policy) -> (String, OperationHandle) {
    let taken = Arc::new(std::sync::OnceLock::new());
    let service = service_fn(|request: Incoming| {
        taken.set(request.extensions().get::<OperationHandle>().unwrap().clone()).unwrap();
        std::future::pending::<Result<Response<String>, Infallible>>()
    });
    let location = detach(operations, policy.handle(true), service).await;
    (location, taken.get().unwrap().clone())
}

#[tokio::test(start_paused = true)]
async fn canceled_resolves_when_the_operation_is_canceled() {
    let operations = operations();
    let (location, handle) = taken_away(&operations, Policy::new()).await;
    let mut canceled = task::spawn(handle.canceled());
    assert_pending!(canceled.poll());
    assert_eq!(delete(&operations, &location).await.status, 204);
    assert!(canceled.is_woken());
    assert_ready!(canceled.poll());
    assert_eq!((handle.state(), handle.is_canceled()), (State::Canceled, true));
}

#[tokio::test(start_paused = true)]
async fn canceled_resolves_when_the_operation_runs_too_long() {
    let operations = operations();
    let (location, handle) = taken_away(&operations, Policy::new().max_run_time(5 * SECOND)).await;
    timeout(6 * SECOND, handle.canceled()).await.unwrap();
    assert_eq!(handle.state(), State::Failed);
    result(&operations, &location).await.assert_problem(Kind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn canceled_resolves_when_the_application_shuts_down() {
    let operations = operations();
    let (_, handle) = taken_away(&operations, Policy::new()).await;
    operations.drain(Duration::ZERO).await;
    timeout(Duration::ZERO, handle.canceled()).await.unwrap();
    assert_eq!(handle.state(), State::Failed);
}

#[tokio::test(start_paused = true)]
async fn canceled_resolves_when_the_client_hangs_up_in_line() {
    let taken = std::sync::OnceLock::new();
    let service = service_fn(|request: Incoming| {
        taken.set(request.extensions().get::<OperationHandle>().unwrap().clone()).unwrap();
        std::future::pending::<Result<Response<String>, Infallible>>()
    });
    let response = operations().layer(Policy::new().handle(true)).layer(service).oneshot(post(&[]));
    let mut response = task::spawn(response);
    assert_pending!(response.poll());
    let handle: &OperationHandle = taken.get().unwrap();
    assert_eq!((handle.is_canceled(), handle.is_detached(), handle.state()), (false, false, State::Running));
    drop(response);
    assert!(handle.is_canceled());
    timeout(Duration::ZERO, handle.canceled()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn canceled_resolves_when_the_answer_has_been_given_in_line() {
    let taken = std::sync::OnceLock::new();
    let service = service_fn(|request: Incoming| {
        taken.set(request.extensions().get::<OperationHandle>().unwrap().clone()).unwrap();
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    });
    send(operations().layer(Policy::new().handle(true)).layer(service), post(&[])).await;
    timeout(Duration::ZERO, taken.get().unwrap().canceled()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_end_by_itself_when_it_is_told_to() {
    // It is dropped, too; what counts is that what it has begun elsewhere can end.
    let operations = operations();
    let (location, handle) = taken_away(&operations, Policy::new()).await;
    let elsewhere = tokio::spawn(async move {
        while !handle.is_canceled() {
            handle.set_progress(0.5);
            sleep(SECOND).await;
        }
    });
    sleep(10 * SECOND).await;
    assert!(!elsewhere.is_finished());
    delete(&operations, &location).await;
    sleep(2 * SECOND).await;
    assert!(elsewhere.is_finished());
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_not_canceled_while_a_reply_in_line_is_still_being_made() {
    let service = service_fn(|request: Incoming| async move {
        let handle: OperationHandle = request.extensions().get().cloned().unwrap();
        let pieces = tokio_stream::iter(0..10).then(move |_| {
            let handle = handle.clone();
            async move {
                sleep(SECOND).await;
                let piece = if handle.is_canceled() { "" } else { "x" };
                Ok::<_, Infallible>(http_body::Frame::data(bytes::Bytes::from_static(piece.as_bytes())))
            }
        });
        Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(pieces)))
    });
    let answer = send(operations().layer(Policy::new().handle(true)).layer(service), post(&[])).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"xxxxxxxxxx"[..]));
}
