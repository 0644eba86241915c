//! Calls whose operations are kept in each of the stores, and read by another replica than the one that was called.

use std::{sync::Arc, time::Duration};

use tonic::codec::CompressionEncoding;
use tower_respond_async::{Execution, Policy};

use super::{
    stage::{self, RENDER, application, builder, error, response},
    studio::{Order, Picture, Studio, picture},
};
use crate::{
    engines::on_every_shared_store,
    stage::Stage,
    tap::{self, Tap},
};

on_every_shared_store! {
    what_was_begun_by_a_call_is_read_elsewhere
    a_reply_under_a_key_is_replayed_elsewhere_with_its_trailers
    a_durable_call_runs_elsewhere
}

/// A replica that keeps its operations here.
async fn replica(stage: &Stage, studio: &Studio, policy: Policy, only_accepts: bool) -> stage::Stage {
    let tap = tap::State::new();
    let store = Tap::new(stage.open().await.unwrap(), Arc::clone(&tap));
    let operations = builder().store(store).only_accepts(only_accepts).build().unwrap();
    if !only_accepts {
        tap.leased().await;
    }
    stage::Stage::of(operations, studio.clone(), policy).await
}

async fn what_was_begun_by_a_call_is_read_elsewhere(stage: &Stage) {
    let studio = Studio::new(Some(CompressionEncoding::Gzip));
    let policy = || Policy::new().grace(Duration::ZERO);
    let first = replica(stage, &studio, policy(), false).await;
    let second = replica(stage, &studio, policy(), false).await;
    for (fails, size) in [(false, 3_000_000), (true, 7)] {
        let order = Order { fails, size, ..Order::SLOW };
        let begun = first.begin(order.reading(CompressionEncoding::Gzip)).await.unwrap();
        assert!(!begun.done);
        studio.open();
        let ended = second.wait(&begun.name).await;
        match fails {
            false => assert_eq!(response::<Picture>(&ended), picture(size)),
            true => assert_eq!(error(&ended).details.len(), 2),
        }
    }
}

fn keyed() -> stage::Call {
    Order::QUICK.with("idempotency-key", "\"k\"")
}

async fn a_reply_under_a_key_is_replayed_elsewhere_with_its_trailers(stage: &Stage) {
    let studio = Studio::new(None);
    let first = replica(stage, &studio, Policy::new(), false).await;
    let second = replica(stage, &studio, Policy::new(), false).await;
    first.render(keyed()).await.unwrap();
    let (fields, message, _) = second.call::<Picture>(RENDER, keyed()).await.unwrap().into_parts();
    assert_eq!((message, studio.count()), (picture(7), 1));
    assert_eq!(fields.get("x-studio").unwrap(), "blue");
    assert_eq!(fields.get_bin("x-seal-bin").unwrap().to_bytes().unwrap(), &b"\0\xff"[..]);
}

async fn a_durable_call_runs_elsewhere(stage: &Stage) {
    let durable = || Policy::new().grace(Duration::ZERO).execution(Execution::Durable);
    let (nobody, studio) = (Studio::new(None), Studio::new(Some(CompressionEncoding::Zstd)));
    let front = replica(stage, &nobody, durable(), true).await;
    let elsewhere = builder().store(stage.open().await.unwrap()).build().unwrap();
    let worker = elsewhere.worker(application(&elsewhere, studio.clone(), durable().into()));
    let worker = tokio::spawn(worker.run());
    for (fails, size) in [(false, 100_000), (true, 7)] {
        let begun = front.begin(Order { fails, size, ..Order::QUICK }).await.unwrap();
        let ended = front.wait(&begun.name).await;
        match fails {
            false => assert_eq!(response::<Picture>(&ended), picture(size)),
            true => assert_eq!(error(&ended).details.len(), 2),
        }
    }
    assert_eq!(nobody.count(), 0);
    elsewhere.drain(Duration::ZERO).await;
    worker.await.unwrap();
}
