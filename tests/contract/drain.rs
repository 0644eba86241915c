//! R12: `drain` declines new detachments, waits, then ends the rest as `interrupted`; open event streams and long polls
//! end with it; nothing is left running.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Method, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{AtLimit, Operations, Policy, problem::Kind};

use crate::support::{
    Answer, Incoming, Job, SECOND, ask, detach, failure, get, operations, post, reply, request, result, send, settle,
    state, timed,
};

/// A handler that is done after so many seconds.
async fn begin(operations: &Operations, seconds: u32) -> (String, Arc<()>) {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let service = service_fn(move |_: Incoming| {
        let held = Arc::clone(&held);
        async move {
            sleep(seconds * SECOND).await;
            drop(held);
            Ok::<_, Infallible>(Response::new("done".to_owned()))
        }
    });
    (detach(operations, Policy::new(), service).await, alive)
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn r12_what_ends_within_the_grace_is_waited_for_and_no_longer() {
    let operations = operations();
    let (location, _) = begin(&operations, 3).await;
    let (drained, taken) = timed(operations.drain(10 * SECOND)).await;
    assert_eq!((drained.finished, drained.interrupted, drained.blocked), (1, 0, 0));
    assert_eq!(taken, 3 * SECOND);
    assert_eq!(alive_tasks(), 0);
    assert_eq!(result(&operations, &location).await.body, "done");
}

#[tokio::test(start_paused = true)]
async fn r12_what_does_not_is_interrupted() {
    let operations = operations();
    let (quick, _) = begin(&operations, 3).await;
    let (slow, alive) = begin(&operations, 30).await;
    let (drained, taken) = timed(operations.drain(10 * SECOND)).await;
    assert_eq!((drained.finished, drained.interrupted, drained.blocked), (1, 1, 0));
    assert_eq!(taken, 10 * SECOND);
    assert_eq!((Arc::strong_count(&alive), operations.in_flight(), alive_tasks()), (1, 0, 0));
    assert_eq!(state(&operations, &quick).await, "succeeded");
    let answer = result(&operations, &slow).await;
    answer.assert_problem(Kind::Interrupted);
    assert!(!answer.headers.contains_key("retry-after"));
    assert_eq!(failure(&operations, &slow).await, "interrupted");
}

#[tokio::test(start_paused = true)]
async fn r12_without_a_grace_all_are_interrupted_at_once() {
    let operations = operations();
    for _ in 0..5 {
        begin(&operations, 30).await;
    }
    let (drained, taken) = timed(operations.drain(Duration::ZERO)).await;
    assert_eq!((drained.finished, drained.interrupted, drained.blocked), (0, 5, 0));
    assert!(taken <= Duration::from_millis(1), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn r12_where_nothing_runs_there_is_nothing_to_wait_for() {
    let operations = operations();
    for _ in 0..2 {
        let (drained, taken) = timed(operations.drain(Duration::MAX)).await;
        assert_eq!((drained.finished, drained.interrupted, drained.blocked, taken), (0, 0, 0, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn r12_new_requests_stay_in_line_from_then_on() {
    let operations = operations();
    let (_, _alive) = begin(&operations, 30).await;
    let draining = operations.clone();
    let drain = tokio::spawn(async move { draining.drain(20 * SECOND).await });
    settle().await;
    let service = service_fn(|_: Incoming| async {
        sleep(5 * SECOND).await;
        Ok::<_, Infallible>(Response::new("in line".to_owned()))
    });
    // A shutdown is no limit: nobody is sent away.
    let policy = Policy::new().at_every_limit(AtLimit::Unavailable);
    for _ in 0..2 {
        let request = post(&[("prefer", "respond-async")]);
        let answer: Answer = send(operations.layer(policy.clone()).layer(service), request).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"in line"[..]));
        assert!(!answer.headers.contains_key("preference-applied"));
    }
    assert_eq!(drain.await.unwrap().interrupted, 1);
    // Nor does what was in line when all was over lack an answer.
    let answer = send(operations.layer(policy).layer(service), post(&[])).await;
    assert_eq!((answer.status.as_u16(), alive_tasks()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn r12_a_request_in_line_when_the_drain_begins_is_answered_in_line() {
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(5 * SECOND).await;
        Ok::<_, Infallible>(Response::new("in line".to_owned()))
    });
    let answer = tokio::spawn(send(operations.layer(Policy::new()).layer(service), post(&[])));
    settle().await;
    operations.drain(Duration::ZERO).await;
    assert_eq!(answer.await.unwrap().body, "in line");
}

#[tokio::test(start_paused = true)]
async fn r12_long_polls_and_event_streams_end() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let (location, waiting) = (job.location.clone(), operations.clone());
    let poll = tokio::spawn(async move { ask(&waiting, Method::GET, &location, &[("prefer", "wait=50")]).await });
    let events = operations.monitor().oneshot(request(Method::GET, &job.path("events"), &[])).await.unwrap();
    let events = tokio::spawn(events.into_body().collect());
    settle().await;
    let begun = Instant::now();
    operations.drain(5 * SECOND).await;
    assert_eq!(poll.await.unwrap().status, 303);
    let text = String::from_utf8(events.await.unwrap().unwrap().to_bytes().into()).unwrap();
    assert!(text.starts_with("event: running\n") && text.contains("\n\nevent: failed\nid: end\n"), "{text}");
    assert_eq!(begun.elapsed(), 5 * SECOND);
    assert_eq!(alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn r12_the_monitor_goes_on_answering() {
    let operations = operations();
    let location = Job::begin(&operations, Policy::new()).await.reply(reply(200, "kept")).await;
    operations.drain(Duration::ZERO).await;
    assert_eq!(get(&operations, &location).await.status, 303);
    assert_eq!(get(&operations, &format!("{location}/result")).await.body, "kept");
}

#[tokio::test(start_paused = true)]
async fn r12_who_stops_waiting_for_the_drain_interrupts_nothing() {
    let operations = operations();
    let (location, _) = begin(&operations, 30).await;
    let dropped = tokio::time::timeout(SECOND, operations.drain(10 * SECOND)).await;
    assert!(dropped.is_err());
    assert_eq!(state(&operations, &location).await, "running");
    assert_eq!(operations.drain(60 * SECOND).await.finished, 1);
}
