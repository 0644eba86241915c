//! How often a worker asks for what is queued.

use std::time::Duration;

use tokio::time::Instant;
use tower_respond_async::Execution;

use crate::stage::{Stage, builder, eventually, patient};

// Where replicas hear of each operation that is queued, and of nothing else.
crate::engines::on!([memory = Memory, postgres = Postgres, redis = Redis] {
    who_is_told_of_what_is_queued_looks_for_no_more
});

/// How often a worker asks that is told of nothing.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// So many come one after the other.
const OPERATIONS: usize = 50;

async fn who_is_told_of_what_is_queued_looks_for_no_more(stage: &Stage) {
    let policy = patient().execution(Execution::Durable);
    let front = stage.replica_of(builder().only_accepts(true), policy.clone()).await;
    let back = stage.replica(policy).await;
    let worker = back.work();
    eventually(async || (back.tap.vain_claims() > 0).then_some(()).ok_or("it has not asked")).await;
    let (begun, before) = (Instant::now(), back.tap.vain_claims());
    for _ in 0..OPERATIONS {
        assert_eq!(front.call("/quick").await, 200);
    }
    let in_vain = back.tap.vain_claims() - before;
    let periods = begun.elapsed().div_duration_f64(ASK_AGAIN);
    // Each time that it asks untold it may find what it is about to be told of.
    assert!(in_vain as f64 <= 3.0 * (periods + 1.0), "{in_vain} claims in vain in {periods:.1} periods");
    worker.abort();
}
