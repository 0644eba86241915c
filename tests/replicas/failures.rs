//! Operations that end without their handler's reply, and why.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tower_respond_async::{Policy, StoredBody};

use crate::{
    engines::on_every_store,
    stage::{Stage, builder, durable, eventually, impatient},
};

on_every_store! {
    r5_a_panic
    r6_a_body_that_breaks_off
    r14_a_run_that_takes_too_long
    r7_a_reply_that_is_too_large
    r12_a_drain
    a_worker_says_what_stands_in_for_an_error
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
    // Its permit is given back a moment after its handler is gone.
    eventually(async || match replica.operations.in_flight() {
        0 => Ok(()),
        some => Err(some),
    })
    .await;
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

async fn a_worker_says_what_stands_in_for_an_error(stage: &Stage) {
    if !stage.is_shared() {
        // There is nothing for a worker to take.
        return;
    }
    for (attempts, status, text) in [(1, 418, "no tea"), (2, 502, "#service-error")] {
        let policy = durable().max_attempts(attempts);
        let front = stage.replica_of(builder().only_accepts(true), policy.clone()).await;
        let location = front.detached("/jobs").await;
        let mapped = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&mapped);
        let teapot = move |error: String| {
            count.fetch_add(1, Ordering::SeqCst);
            Response::builder().status(418).body(Bytes::from(error)).unwrap()
        };
        let service = tower::service_fn(async |_: Request<StoredBody>| Err::<Response<String>, _>("no tea".to_owned()));
        let worker = front.operations.worker(service).map_service_error(teapot);
        let worker = tokio::spawn(worker.run());
        assert_eq!(front.becomes(&location, "failed").await["error"]["code"], "service-error");
        let reply = front.result(&location).await;
        assert_eq!(reply.status, status);
        assert!(reply.text().contains(text), "{}", reply.text());
        assert_eq!(mapped.load(Ordering::SeqCst), attempts);
        worker.abort();
    }
}
