//! What has a key, and came into the store though nobody here was told so, or nobody was there any more to begin it.

use http::Method;
use tower_respond_async::Execution;

use crate::{
    engines::on_every_shared_store,
    keys::KEY,
    stage::{Stage, builder, eventually, impatient, patient},
};

on_every_shared_store! {
    what_was_created_without_an_answer_is_run_all_the_same
    what_was_created_without_an_answer_is_found_under_its_key
    what_others_were_told_of_is_not_taken_back
}

async fn what_was_created_without_an_answer_is_run_all_the_same(stage: &Stage) {
    let replica = stage.replica(impatient().execution(Execution::Durable)).await;
    let worker = replica.work();
    replica.tap.unanswered(usize::MAX);
    assert_eq!(replica.post("/jobs", KEY, "body").await.status, 503);
    replica.tap.unanswered(0);
    stage.work.go_all();
    eventually(async || {
        let reply = replica.post("/jobs", &[KEY[0], ("prefer", "wait=30")], "body").await;
        if reply.status == 200 { Ok(()) } else { Err(reply) }
    })
    .await;
    worker.abort();
    assert_eq!(stage.work.calls(), 1);
}

async fn what_was_created_without_an_answer_is_found_under_its_key(stage: &Stage) {
    for (number, policy) in [(1, patient()), (2, patient().execution(Execution::Durable))] {
        let key = format!("\"{number}\"");
        let headers = [("idempotency-key", &*key)];
        let replica = stage.replica(policy).await;
        replica.tap.unanswered(1);
        let mut request = replica.begin(Method::POST, "/jobs", &headers, b"body").await;
        stage.work.running(1).await;
        // And it is not taken for lost.
        replica.tap.renews(replica.tap.renewals() + 4).await;
        stage.work.go(1);
        for reply in [request.response().await, replica.post("/jobs", &headers, "body").await] {
            assert_eq!((reply.status.as_u16(), reply.text()), (200, "body"));
            assert_eq!(reply.header("x-call"), number.to_string());
        }
    }
}

async fn what_others_were_told_of_is_not_taken_back(stage: &Stage) {
    let durable = impatient().execution(Execution::Durable);
    let kinds = [(builder(), impatient()), (builder(), durable.clone()), (builder().only_accepts(true), durable)];
    stage.work.go_all();
    for (number, (builder, policy)) in kinds.into_iter().enumerate() {
        let key = format!("\"{number}\"");
        let headers = [("idempotency-key", &*key), ("prefer", "wait=0")];
        let (one, other) = (stage.replica_of(builder, policy.clone()).await, stage.replica(policy).await);
        one.tap.hold_answers(true);
        one.give_up("/jobs", &headers[..1]).await;
        let location = other.detached_with("/jobs", &headers, "body").await;
        one.tap.hold_answers(false);
        let worker = other.work();
        match number {
            0 => assert_eq!(other.becomes(&location, "failed").await["error"]["code"], "interrupted"),
            _durable => assert_eq!(other.result(&location).await.text(), "body"),
        }
        worker.abort();
    }
}
