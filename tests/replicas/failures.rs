//! Operations that end without their handler's reply, and why.

use std::time::Duration;

use tower_respond_async::Policy;

use crate::{
    engines::on_every_store,
    stage::{Stage, impatient},
};

on_every_store! {
    r5_a_panic
    r6_a_body_that_breaks_off
    r14_a_run_that_takes_too_long
    r7_a_reply_that_is_too_large
    r12_a_drain
}

async fn fails(stage: &Stage, policy: Policy, path: &str, status: u16, reason: &str) {
    let replica = stage.replica(policy).await;
    let location = replica.detached(path).await;
    stage.work.go_all();
    let document = replica.becomes(&location, "failed").await;
    assert_eq!(document["error"]["code"], reason);
    let reply = replica.result(&location).await;
    assert_eq!(reply.status, status);
    assert!(reply.json()["type"].as_str().unwrap().ends_with(&format!("#{reason}")));
    stage.work.running(0).await;
}

async fn r5_a_panic(stage: &Stage) {
    fails(stage, impatient(), "/panics", 500, "panicked").await;
}

async fn r6_a_body_that_breaks_off(stage: &Stage) {
    fails(stage, impatient(), "/breaks", 502, "service-error").await;
}

async fn r7_a_reply_that_is_too_large(stage: &Stage) {
    fails(stage, impatient().max_reply(50_000), "/large", 500, "reply-too-large").await;
}

async fn r14_a_run_that_takes_too_long(stage: &Stage) {
    let replica = stage.replica(impatient().max_run_time(Duration::from_millis(100))).await;
    let location = replica.detached("/jobs").await;
    let document = replica.becomes(&location, "failed").await;
    assert_eq!(document["error"]["code"], "timed-out");
    assert_eq!(replica.result(&location).await.status, 504);
    stage.work.running(0).await;
    assert_eq!(replica.operations.in_flight(), 0);
}

async fn r12_a_drain(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let location = replica.detached("/jobs").await;
    stage.work.running(1).await;
    let drained = replica.operations.drain(Duration::ZERO).await;
    assert_eq!((drained.finished, drained.interrupted, drained.blocked), (0, 1, 0));
    stage.work.running(0).await;
    let document = replica.status(&location).await;
    assert_eq!((&document["status"], &document["error"]["code"]), (&"failed".into(), &"interrupted".into()));
}
