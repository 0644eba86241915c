//! Durable execution: a request is stored before it is accepted, and any replica runs it.

use std::time::Duration;

use http::Method;
use tower_respond_async::{Execution, OnDisconnect, Operations};

use crate::{
    engines::on_every_shared_store,
    stage::{Replica, Stage, builder, durable, eventually, patient},
};

on_every_shared_store! {
    a_handler_gets_the_whole_request_but_for_its_credentials
    what_there_is_room_for_begins_at_once
    what_there_is_no_room_for_is_run_by_a_worker
    what_is_only_accepted_is_answered_in_line_when_it_is_quick
    what_panics_is_tried_again
    what_fails_too_often_fails
    what_a_dead_replica_ran_is_run_again
    what_a_drain_interrupts_goes_on_elsewhere
    what_is_quick_touches_no_store
    what_is_answered_while_it_is_stored_is_taken_back
    who_hangs_up_while_it_is_stored_leaves_nothing
    who_hangs_up_as_its_policy_allows_is_queued
    what_takes_longer_to_store_than_a_heartbeat_runs
    what_was_created_without_an_answer_is_taken_back
    what_is_queued_can_be_canceled
    who_only_accepts_runs_nothing_unkept_at_a_shutdown
}

/// A replica that takes requests and leaves them to others.
async fn accepting(stage: &Stage) -> Replica {
    stage.replica_of(builder().only_accepts(true), durable()).await
}

async fn who_only_accepts_runs_nothing_unkept_at_a_shutdown(stage: &Stage) {
    let front = accepting(stage).await;
    front.operations.drain(Duration::ZERO).await;
    let answer = front.post("/jobs", &[("prefer", "respond-async")], "").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(!answer.header("retry-after").is_empty());
}

async fn nothing_is_listed(replica: &Replica) {
    eventually(async || {
        let list = replica.ask(Method::GET, "/operations", &[("x-user", "ann")]).await.json();
        if list["operations"] == serde_json::json!([]) { Ok(()) } else { Err(list) }
    })
    .await;
}

async fn a_handler_gets_the_whole_request_but_for_its_credentials(stage: &Stage) {
    let (front, back) = (accepting(stage).await, stage.replica(durable()).await);
    let headers = [
        ("x-many", "one"),
        ("authorization", "Bearer secret"),
        ("cookie", "secret=1"),
        ("proxy-authorization", "Basic secret"),
        ("x-many", "two"),
        ("content-type", "text/plain"),
    ];
    let location = {
        let mut put = front.begin(Method::PUT, "/quick/1?a=%20b", &headers, b"a body").await;
        let accepted = put.response().await;
        assert_eq!(accepted.status, 202);
        assert_eq!(accepted.json()["status"], "queued");
        accepted.location().to_owned()
    };
    let worker = back.work();
    assert_eq!(front.result(&location).await.text(), "a body");
    let [seen] = stage.work.seen().try_into().unwrap();
    assert_eq!(
        (seen.head.method.as_str(), seen.head.uri.path_and_query().unwrap().as_str()),
        ("PUT", "/quick/1?a=%20b")
    );
    assert_eq!(seen.head.headers.get_all("x-many").iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(seen.head.headers["content-type"], "text/plain");
    for secret in ["authorization", "cookie", "proxy-authorization"] {
        assert_eq!(seen.head.headers.get(secret), None);
    }
    assert_eq!(seen.body, "a body");
    assert!(location.ends_with(&seen.handle().id().to_string()));
    assert_eq!(seen.handle().attempt(), 1);
    worker.abort();
}

async fn what_there_is_room_for_begins_at_once(stage: &Stage) {
    let replica = stage.replica(durable()).await;
    let accepted = replica.post("/jobs", &[], "").await;
    assert_eq!((accepted.status.as_u16(), &accepted.json()["status"]), (202, &"running".into()));
    stage.work.running(1).await;
    stage.work.go(1);
    assert_eq!(replica.result(accepted.location()).await.header("x-call"), "1");
    let [seen] = stage.work.seen().try_into().unwrap();
    assert!(accepted.location().ends_with(&seen.handle().id().to_string()));
}

async fn what_there_is_no_room_for_is_run_by_a_worker(stage: &Stage) {
    let full = stage.replica_of(builder().max_operations(1), durable()).await;
    let other = stage.replica(durable()).await;
    let first = full.detached("/jobs").await;
    let second = full.post("/jobs", &[], "").await;
    assert_eq!((second.status.as_u16(), &second.json()["status"]), (202, &"queued".into()));
    assert_eq!(stage.work.calls(), 1);
    let worker = other.work();
    stage.work.running(2).await;
    assert_eq!(full.operations.in_flight(), 1);
    stage.work.go_all();
    for location in [&first, second.location()] {
        assert_eq!(full.result(location).await.status, 200);
    }
    worker.abort();
}

async fn what_is_only_accepted_is_answered_in_line_when_it_is_quick(stage: &Stage) {
    let policy = patient().execution(Execution::Durable);
    let front = stage.replica_of(builder().only_accepts(true), policy.clone()).await;
    let back = stage.replica(policy).await;
    let worker = back.work();
    let reply = front.post("/quick", &[], "a body").await;
    assert_eq!((reply.status.as_u16(), reply.text(), reply.header("x-call")), (200, "a body", "1"));
    worker.abort();
}

async fn what_panics_is_tried_again(stage: &Stage) {
    let replica = stage.replica(durable()).await;
    let location = replica.detached("/twice").await;
    let worker = replica.work();
    stage.work.go_all();
    assert_eq!(replica.result(&location).await.header("x-call"), "3");
    let attempts: Vec<_> = stage.work.seen().iter().map(|seen| seen.handle().attempt()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let document = replica.status(&location).await;
    assert_eq!(document["status"], "succeeded");
    let failed = document["attempts"].as_array().unwrap();
    let told: Vec<_> = failed.iter().map(|failed| (failed["attempt"].as_u64(), failed["code"].as_str())).collect();
    assert_eq!(told, [(Some(1), Some("panicked")), (Some(2), Some("panicked"))]);
    assert!(failed[0]["at"].as_str().unwrap() < failed[1]["at"].as_str().unwrap());
    worker.abort();
}

async fn what_fails_too_often_fails(stage: &Stage) {
    let replica = stage.replica(durable().max_attempts(2)).await;
    let location = replica.detached("/panics").await;
    let worker = replica.work();
    stage.work.go_all();
    let document = replica.becomes(&location, "failed").await;
    assert_eq!((stage.work.calls(), &document["error"]["code"]), (2, &"panicked".into()));
    assert_eq!(document["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(replica.result(&location).await.status, 500);
    worker.abort();
}

async fn what_a_dead_replica_ran_is_run_again(stage: &Stage) {
    let (one, other) = stage.replicas(durable()).await;
    let location = one.detached("/jobs").await;
    stage.work.running(1).await;
    one.die();
    let worker = other.work();
    eventually(async || match stage.work.calls() {
        2 => Ok(()),
        calls => Err(calls),
    })
    .await;
    stage.work.go_all();
    let reply = other.result(&location).await;
    assert_eq!(reply.status, 200);
    assert_eq!(stage.work.seen()[1].handle().attempt(), 2);
    assert_eq!(other.status(&location).await["attempts"][0]["code"], "lost");
    worker.abort();
}

async fn what_a_drain_interrupts_goes_on_elsewhere(stage: &Stage) {
    let (one, other) = stage.replicas(durable()).await;
    let location = one.detached("/jobs").await;
    stage.work.running(1).await;
    let worker = other.work();
    let drained = one.operations.drain(Duration::ZERO).await;
    assert_eq!((drained.finished, drained.interrupted), (0, 1));
    eventually(async || match (stage.work.calls(), other.operations.in_flight()) {
        (2, 1) => Ok(()),
        found => Err(found),
    })
    .await;
    stage.work.go_all();
    let reply = other.result(&location).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-call")), (200, "2"));
    assert_eq!(other.status(&location).await.get("attempts"), None, "it was not the attempt's fault");
    worker.abort();
}

async fn what_is_quick_touches_no_store(stage: &Stage) {
    let replica = stage.replica(patient().execution(Execution::Durable)).await;
    let reply = replica.post("/quick", &[], "a body").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "a body"));
    assert_eq!(replica.tap.creations(), 0);
}

async fn what_is_answered_while_it_is_stored_is_taken_back(stage: &Stage) {
    for policy in [durable(), durable().execution(Execution::Detached)] {
        let replica = stage.replica(policy).await;
        replica.tap.hold(true);
        let mut request = replica.begin(Method::POST, "/jobs", &[("x-user", "ann")], b"").await;
        replica.tap.creates(1).await;
        request.silent().await;
        stage.work.go(1);
        let reply = request.response().await;
        assert_eq!(reply.status, 200);
        replica.tap.hold(false);
        settled(&replica.operations).await;
        nothing_is_listed(&replica).await;
    }
}

async fn who_hangs_up_while_it_is_stored_leaves_nothing(stage: &Stage) {
    let replica = stage.replica(durable()).await;
    replica.tap.hold(true);
    let request = replica.begin(Method::POST, "/jobs", &[("x-user", "ann")], b"").await;
    replica.tap.creates(1).await;
    drop(request);
    stage.work.running(0).await;
    replica.tap.hold(false);
    settled(&replica.operations).await;
    nothing_is_listed(&replica).await;
}

async fn who_hangs_up_as_its_policy_allows_is_queued(stage: &Stage) {
    let policy = durable().on_disconnect(OnDisconnect::Detach);
    let front = stage.replica_of(builder().only_accepts(true), policy.clone()).await;
    front.tap.hold(true);
    let request = front.begin(Method::POST, "/jobs", &[], b"body").await;
    front.tap.creates(1).await;
    drop(request);
    front.tap.hold(false);
    let back = stage.replica(policy).await;
    let worker = back.work();
    stage.work.running(1).await;
    assert_eq!((front.operations.in_flight(), stage.work.calls()), (0, 1));
    worker.abort();
}

async fn what_takes_longer_to_store_than_a_heartbeat_runs(stage: &Stage) {
    for policy in [durable(), durable().execution(Execution::Detached)] {
        let replica = stage.replica(policy).await;
        replica.tap.hold(true);
        let mut request = replica.begin(Method::POST, "/jobs", &[], b"body").await;
        replica.tap.creates(1).await;
        let renewals = replica.tap.renewals();
        replica.tap.renews(renewals + 2).await;
        replica.tap.hold(false);
        let accepted = request.response().await;
        assert_eq!(accepted.status, 202);
        stage.work.running(1).await;
        stage.work.go(1);
        assert_eq!(replica.result(accepted.location()).await.text(), "body");
    }
}

async fn what_was_created_without_an_answer_is_taken_back(stage: &Stage) {
    let replica = stage.replica(durable()).await;
    replica.tap.unanswered(usize::MAX);
    let refused = replica.post("/jobs", &[("x-user", "ann")], "").await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    stage.work.running(0).await;
    settled(&replica.operations).await;
    nothing_is_listed(&replica).await;
}

async fn what_is_queued_can_be_canceled(stage: &Stage) {
    let (front, back) = (accepting(stage).await, stage.replica(durable()).await);
    let location = front.detached("/jobs").await;
    assert_eq!(back.status(&location).await["status"], "queued");
    let mut events = back.begin(Method::GET, &format!("{location}/events"), &[], b"").await;
    let head = events.head().await;
    assert!(events.piece().await.unwrap().unwrap().starts_with(b"event: queued\nid: 0\n"));
    assert_eq!(front.delete(&location).await.status, 204);
    assert!(events.rest(head).await.unwrap().text().starts_with("event: canceled\n"));
    let worker = back.work();
    let next = front.detached("/jobs").await;
    stage.work.running(1).await;
    assert_eq!(stage.work.calls(), 1);
    assert!(next.ends_with(&stage.work.seen()[0].handle().id().to_string()));
    worker.abort();
}

async fn settled(operations: &Operations) {
    eventually(async || match operations.in_flight() {
        0 => Ok(()),
        running => Err(running),
    })
    .await;
}
