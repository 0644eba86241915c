//! Who gets the room there is, and what needs none.

use tower_respond_async::{AtLimit, Execution, Limit};

use crate::{
    engines::on_every_store,
    keys::assert_refused,
    stage::{Stage, builder, durable, eventually, impatient},
};

on_every_store! {
    what_has_a_key_needs_no_room_once_it_is_there
    r7_what_a_worker_runs_counts_for_its_owner
}

async fn what_has_a_key_needs_no_room_once_it_is_there(stage: &Stage) {
    for policy in [impatient(), impatient().execution(Execution::Durable)] {
        let calls = stage.work.calls();
        let key = [("idempotency-key", if calls == 0 { "\"a\"" } else { "\"b\"" })];
        let full = stage.replica_of(builder().max_operations(1), policy.clone()).await;
        let location = full.detached_with("/jobs", &key, "body").await;
        stage.work.running(1).await;
        let other = match stage.is_shared() {
            true => stage.replica_of(builder().max_operations(1), impatient()).await,
            false => stage.replica(impatient()).await,
        };
        let busy = other.detached("/jobs").await;
        stage.work.running(2).await;
        let replicas = if stage.is_shared() { vec![&full, &other] } else { vec![&full] };
        for replica in &replicas {
            assert_eq!(replica.detached_with("/jobs", &key, "body").await, location);
            assert_refused(&replica.post("/jobs", &key, "another").await, 422, "#idempotency-key-reused");
        }
        if stage.is_shared() {
            assert_eq!(other.post("/jobs", &[("idempotency-key", "\"new\"")], "body").await.status, 503);
        }
        stage.work.go(1);
        let expected = full.result(&location).await;
        for replica in &replicas {
            let reply = replica.post("/jobs", &key, "body").await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, "body"));
            assert_eq!(reply.header("x-call"), expected.header("x-call"));
        }
        stage.work.go(1);
        other.result(&busy).await;
        stage.work.running(0).await;
    }
}

async fn r7_what_a_worker_runs_counts_for_its_owner(stage: &Stage) {
    if !stage.is_shared() {
        // Nothing is queued there.
        return;
    }
    let front = stage.replica_of(builder().only_accepts(true), durable()).await;
    let policy = durable().at_limit(Limit::OperationsPerOwner, AtLimit::Unavailable);
    let back = stage.replica_of(builder().max_operations_per_owner(1), policy).await;
    let (ann, bob) = ([("x-user", "ann")], [("x-user", "bob")]);
    for _ in 0..2 {
        front.detached_with("/jobs", &ann, "").await;
    }
    let worker = back.work();
    // The limit is not for what was accepted already.
    stage.work.running(2).await;
    worker.abort();
    for (user, status) in [(&ann, 503), (&bob, 202)] {
        assert_eq!(back.post("/jobs", user, "").await.status, status);
    }
    stage.work.go_all();
    eventually(async || match back.operations.in_flight() {
        0 => Ok(()),
        running => Err(running),
    })
    .await;
}
