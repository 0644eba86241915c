//! `Prefer` at submission (RFC 7240), and the `Preference-Applied` that says what was honoured.

use std::{convert::Infallible, time::Duration};

use http::{HeaderValue, Response};
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_respond_async::Policy;

use crate::support::{Answer, Incoming, SECOND, assert_took, millis, operations, post, send, timed};

fn policy() -> Policy {
    Policy::new().budget(millis(300)).grace(millis(50)).longest_wait(5 * SECOND)
}

/// Sends a request with these `Prefer` lines to a handler that takes a minute.
async fn prefer(policy: Policy, lines: &[&[u8]]) -> (Answer, Duration) {
    let service = service_fn(|_: Incoming| async {
        sleep(60 * SECOND).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut request = post(&[]);
    for line in lines {
        request.headers_mut().append("prefer", HeaderValue::from_bytes(line).unwrap());
    }
    timed(send(operations().layer(policy).layer(service), request)).await
}

async fn assert_detached(policy: &Policy, lines: &[&str], after: Duration, applied: Option<&str>) {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    let (answer, taken) = prefer(policy.clone(), &lines).await;
    assert_eq!(answer.status, 202, "{lines:?}");
    assert_took(taken, after);
    let found = answer.headers.get("preference-applied").map(|applied| applied.to_str().unwrap());
    assert_eq!(found, applied, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_preferred_decides_how_long_to_wait() {
    for (lines, after, applied) in [
        (&[][..], 300, None),
        (&["respond-async"], 50, Some("respond-async")),
        (&["Respond-Async"], 50, Some("respond-async")),
        (&["respond-async; foo=\"a, wait=1\""], 50, Some("respond-async")),
        (&["return=minimal, respond-async"], 50, Some("respond-async")),
        (&["wait=0"], 0, Some("wait=0")),
        (&["wait=2"], 2_000, Some("wait=2")),
        (&["wait=\"2\""], 2_000, Some("wait=2")),
        (&["WAIT=2"], 2_000, Some("wait=2")),
        (&["respond-async, wait=2"], 2_000, Some("respond-async, wait=2")),
        (&["wait=1", "respond-async"], 1_000, Some("respond-async, wait=1")),
        (&["wait=1, wait=2"], 1_000, Some("wait=1")),
        (&["wait=1", "wait=2"], 1_000, Some("wait=1")),
        (&["wait=10"], 5_000, Some("wait=5")),
        (&["respond-async, wait=99999999999999999999"], 5_000, Some("respond-async, wait=5")),
    ] {
        assert_detached(&policy(), lines, millis(after), applied).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_malformed_or_unknown_counts_for_nothing() {
    for lines in [
        "",
        ",",
        "wait",
        "wait=",
        "wait=-1",
        "wait=soon",
        "wait=1.5",
        "respond-async=yes",
        "respond async",
        "\"respond-async\"",
        "return=minimal",
        "handling=strict; respond-async",
        "wait=x, wait=1",
    ] {
        assert_detached(&policy(), &[lines], millis(300), None).await;
    }
    let (answer, taken) = prefer(policy(), &[b"\xff\xfe", b"wait=\xff"]).await;
    assert_eq!(answer.status, 202);
    assert_took(taken, millis(300));
    // The rest of a list with a flaw in it still counts.
    assert_detached(&policy(), &["=, respond-async"], millis(50), Some("respond-async")).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_does_not_honor_counts_for_nothing() {
    let without_async = policy().honor_respond_async(false);
    let without_wait = policy().honor_wait(false);
    let neither = policy().honor_wait(false).honor_respond_async(false);
    for (policy, line, after, applied) in [
        (&without_async, "respond-async", 300, None),
        (&without_async, "respond-async, wait=2", 2_000, Some("wait=2")),
        (&without_wait, "wait=2", 300, None),
        (&without_wait, "respond-async, wait=2", 50, Some("respond-async")),
        (&neither, "respond-async, wait=2", 300, None),
    ] {
        assert_detached(policy, &[line], millis(after), applied).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_longer_of_grace_and_budget_does_not_count() {
    let policy = policy().budget(millis(100)).grace(SECOND);
    assert_detached(&policy, &["respond-async"], millis(100), Some("respond-async")).await;
    assert_detached(&policy.without_budget(), &["respond-async"], SECOND, Some("respond-async")).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_a_wait_is_one() {
    assert_detached(&policy().without_budget(), &["wait=2"], 2 * SECOND, Some("wait=2")).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_rejects_within_the_grace_is_rejected_directly() {
    for status in [400, 401, 413, 422] {
        for (thought, expected) in [(0, status), (40, status), (70, 202)] {
            let service = service_fn(move |_: Incoming| async move {
                sleep(millis(thought)).await;
                Ok::<_, Infallible>(Response::builder().status(status).body("no".to_owned()).unwrap())
            });
            let request = post(&[("prefer", "respond-async")]);
            let answer = send(operations().layer(policy()).layer(service), request).await;
            assert_eq!(answer.status, expected, "{status} after {thought} ms");
            let applied = answer.headers.contains_key("preference-applied");
            assert_eq!(applied, expected == 202, "said only of what was honoured");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_what_is_not_ready_at_once_is_detached() {
    assert_detached(&policy().grace(Duration::ZERO), &["respond-async"], Duration::ZERO, Some("respond-async")).await;
}
