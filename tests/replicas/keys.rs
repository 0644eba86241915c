//! `Idempotency-Key`: a request that is sent again is the same operation.

use std::time::Duration;

use http::Method;
use tower_respond_async::{Execution, Policy};

use crate::{
    client::Received,
    engines::on_every_store,
    stage::{Headers, Replica, Stage, builder, eventually, impatient, patient},
};

on_every_store! {
    a_retry_while_it_runs_is_told_of_the_same_operation
    a_retry_after_the_end_gets_the_same_reply
    what_is_quick_is_answered_in_line_each_time
    many_at_once_are_one
    another_request_under_the_key_is_refused
    what_is_no_key_is_refused
    the_same_key_elsewhere_is_another
    a_key_is_free_again_once_its_operation_is_forgotten
    who_hangs_up_does_not_cancel
    who_hangs_up_while_it_is_stored_does_not_cancel
    what_is_new_and_not_waited_for_is_not_read_again
    a_failure_is_what_the_retry_gets
    a_durable_request_is_run_once
}

pub(crate) const KEY: Headers<'_> = &[("idempotency-key", "\"k\"")];

/// Two replicas where they can share the store, and else the same one twice.
async fn two(stage: &Stage, policy: Policy) -> Vec<Replica> {
    match stage.is_shared() {
        true => vec![stage.replica(policy.clone()).await, stage.replica(policy).await],
        false => vec![stage.replica(policy).await],
    }
}

#[track_caller]
pub(crate) fn assert_refused(answer: &Received, status: u16, name: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.json()["type"].as_str().unwrap().ends_with(name), "{}", answer.text());
}

async fn a_retry_while_it_runs_is_told_of_the_same_operation(stage: &Stage) {
    let replicas = two(stage, impatient()).await;
    let accepted = replicas[0].post("/jobs", KEY, "body").await;
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.header("vary"), "prefer");
    for replica in replicas.iter().chain(&replicas) {
        let again = replica.post("/jobs", KEY, "body").await;
        assert_eq!((again.status.as_u16(), again.location()), (202, accepted.location()));
        assert_eq!(again.json()["created"], accepted.json()["created"]);
        let asynchronous = [KEY[0], ("prefer", "respond-async")];
        let again = replica.post("/jobs", &asynchronous, "body").await;
        assert_eq!((again.status.as_u16(), again.location()), (202, accepted.location()));
        assert_eq!(again.header("preference-applied"), "respond-async");
    }
    stage.work.go_all();
    assert_eq!(replicas[0].result(accepted.location()).await.header("x-call"), "1");
    assert_eq!(stage.work.calls(), 1);
}

async fn a_retry_after_the_end_gets_the_same_reply(stage: &Stage) {
    let replicas = two(stage, impatient()).await;
    let location = replicas[0].detached_with("/jobs", KEY, "body").await;
    stage.work.go_all();
    let reply = replicas[0].result(&location).await;
    for replica in replicas.iter().chain(&replicas) {
        let again = replica.post("/jobs", &[KEY[0], ("te", "trailers")], "body").await;
        assert_eq!((again.status, &again.body), (reply.status, &reply.body));
        assert_eq!(again.header("x-call"), "1");
        assert_eq!(again.headers.get_all("x-many").iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(again.trailers.expect("trailers")["x-end"], "whole");
    }
    assert_eq!(stage.work.calls(), 1);
}

async fn what_is_quick_is_answered_in_line_each_time(stage: &Stage) {
    let replicas = two(stage, patient()).await;
    for _again in 0..2 {
        for replica in &replicas {
            let reply = replica.post("/quick", KEY, "body").await;
            assert_eq!((reply.status.as_u16(), reply.text(), reply.header("x-call")), (200, "body", "1"));
            assert_eq!(reply.header("vary"), "prefer");
        }
    }
    assert_eq!(stage.work.calls(), 1);
}

async fn many_at_once_are_one(stage: &Stage) {
    let replicas = two(stage, impatient()).await;
    let asked = async |number: usize| replicas[number % replicas.len()].post("/jobs", KEY, "body").await;
    let all: Vec<_> = futures(asked).await;
    assert!(all.iter().all(|answer| answer.status == 202), "{all:?}");
    assert!(all.iter().all(|answer| answer.location() == all[0].location()));
    stage.work.go_all();
    assert_eq!(replicas[0].result(all[0].location()).await.header("x-call"), "1");
    assert_eq!(stage.work.calls(), 1);
}

/// A hundred of them, at the same time.
async fn futures<F: Future>(make: impl Fn(usize) -> F) -> Vec<F::Output> {
    let mut pending: Vec<_> = (0..100).map(|number| Box::pin(make(number))).collect();
    let mut done: Vec<_> = (0..100).map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (pending, done) in pending.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = pending.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

async fn another_request_under_the_key_is_refused(stage: &Stage) {
    stage.work.go_all();
    let replicas = two(stage, patient()).await;
    assert_eq!(replicas[0].post("/jobs?a=1", KEY, "body").await.status, 200);
    for replica in &replicas {
        for (path, body) in [("/jobs?a=1", "another"), ("/jobs?a=2", "body"), ("/jobs?a=1", "")] {
            assert_refused(&replica.post(path, KEY, body).await, 422, "#idempotency-key-reused");
        }
    }
    assert_eq!(stage.work.calls(), 1);
}

async fn what_is_no_key_is_refused(stage: &Stage) {
    let replica = stage.replica(patient()).await;
    for key in ["k", "\"\"", "\"a\", \"b\""] {
        let refused = replica.post("/quick", &[("idempotency-key", key)], "body").await;
        assert_refused(&refused, 400, "#idempotency-key-malformed");
    }
    let twice = replica.post("/quick", &[KEY[0], KEY[0]], "body").await;
    assert_refused(&twice, 400, "#idempotency-key-malformed");
    assert_eq!(stage.work.calls(), 0);
}

async fn the_same_key_elsewhere_is_another(stage: &Stage) {
    let replica = stage.replica(patient()).await;
    let mut expected = 0;
    for (method, user) in [(Method::POST, "ann"), (Method::POST, "bob"), (Method::PUT, "ann")] {
        expected += 1;
        for _again in 0..2 {
            let headers = [KEY[0], ("x-user", user)];
            let reply = replica.begin(method.clone(), "/quick", &headers, b"body").await.response().await;
            assert_eq!(reply.header("x-call"), expected.to_string(), "{method} {user}");
        }
    }
    assert_eq!(replica.post("/quick", KEY, "body").await.header("x-call"), "4");
}

async fn a_key_is_free_again_once_its_operation_is_forgotten(stage: &Stage) {
    let replicas = two(stage, impatient()).await;
    let location = replicas[0].detached_with("/naps", KEY, "body").await;
    replicas[0].result(&location).await;
    let last = replicas.last().unwrap();
    assert_eq!(last.delete(&location).await.status, 204);
    let again = last.detached_with("/naps", KEY, "another").await;
    assert_ne!(again, location);
    assert_eq!(last.result(&again).await.header("x-call"), "2");
    let short = stage.replica(patient().retention(Duration::from_millis(200))).await;
    let key = [("idempotency-key", "\"short\"")];
    let first = short.post("/quick", &key, "body").await.header("x-call").to_owned();
    eventually(async || {
        let reply = short.post("/quick", &key, "body").await;
        if reply.header("x-call") == first { Err(first.clone()) } else { Ok(()) }
    })
    .await;
}

async fn who_hangs_up_does_not_cancel(stage: &Stage) {
    let replica = stage.replica(patient()).await;
    let request = replica.begin(Method::POST, "/jobs", KEY, b"body").await;
    stage.work.running(1).await;
    drop(request);
    let again = replica.post("/jobs", &[KEY[0], ("prefer", "wait=0")], "body").await;
    assert_eq!(again.status, 202);
    stage.work.go_all();
    assert_eq!(replica.result(again.location()).await.header("x-call"), "1");
    assert_eq!(replica.post("/jobs", KEY, "body").await.header("x-call"), "1");
}

async fn who_hangs_up_while_it_is_stored_does_not_cancel(stage: &Stage) {
    if !stage.is_shared() {
        // What is stored here is stored at once.
        return;
    }
    for policy in [patient(), patient().execution(Execution::Durable)] {
        let calls = stage.work.calls();
        let key = [("idempotency-key", if calls == 0 { "\"a\"" } else { "\"b\"" })];
        let replica = stage.replica(policy).await;
        replica.tap.hold(true);
        let first = replica.begin(Method::POST, "/jobs", &key, b"body").await;
        replica.tap.creates(1).await;
        let mut second = replica.begin(Method::POST, "/jobs", &key, b"body").await;
        replica.tap.creates(2).await;
        drop(first);
        second.silent().await;
        replica.tap.hold(false);
        stage.work.running(1).await;
        stage.work.go(1);
        let reply = second.response().await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "body"));
        assert_eq!(stage.work.calls(), calls + 1);
        assert_eq!(replica.post("/jobs", &key, "body").await.header("x-call"), (calls + 1).to_string());
    }
}

async fn what_is_new_and_not_waited_for_is_not_read_again(stage: &Stage) {
    let durable = patient().execution(Execution::Durable);
    let ways = [
        (builder(), patient(), "running"),
        (builder(), durable.clone(), "running"),
        (builder().only_accepts(true), durable, "queued"),
    ];
    for (number, (builder, policy, state)) in ways.into_iter().enumerate() {
        let replica = stage.replica_of(builder, policy).await;
        let key = format!("\"{number}\"");
        let headers = [("idempotency-key", &*key), ("prefer", "wait=0")];
        let location = replica.detached_with("/jobs", &headers, "body").await;
        assert_eq!(replica.tap.reads(), 0);
        if stage.is_shared() {
            assert_eq!(replica.status(&location).await["status"], state);
            assert_eq!(replica.tap.reads(), 1);
        }
    }
}

async fn a_failure_is_what_the_retry_gets(stage: &Stage) {
    stage.work.go_all();
    let replica = stage.replica(patient()).await;
    for _again in 0..2 {
        assert_refused(&replica.post("/panics", KEY, "body").await, 500, "#panicked");
    }
    let other = [("idempotency-key", "\"other\"")];
    for _again in 0..2 {
        let refused = replica.post("/refused", &other, "body").await;
        assert_eq!((refused.status.as_u16(), refused.text()), (409, "no"));
    }
    assert_eq!(stage.work.calls(), 2);
}

async fn a_durable_request_is_run_once(stage: &Stage) {
    let replicas = two(stage, impatient().execution(Execution::Durable)).await;
    let location = replicas[0].detached_with("/jobs", KEY, "body").await;
    for replica in &replicas {
        assert_eq!(replica.detached_with("/jobs", KEY, "body").await, location);
    }
    stage.work.go_all();
    assert_eq!(replicas[0].result(&location).await.header("x-call"), "1");
    assert_eq!(stage.work.calls(), 1);
}
