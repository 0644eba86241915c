//! How an operation ends and is counted, as those see it who watch.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use tokio::task::JoinSet;

use super::{
    stage::{Stage, durable, eventually, operation, owner, reply, report},
    violation::{Checked, Violation, equal, hold},
};
use crate::{
    operation::{OperationId, State},
    store::contract::{Attempt, Cancellation, Change, Listener, Part},
};

pub(super) async fn who_sees_the_end_sees_the_reply(stage: Stage) -> Checked {
    for round in 0..10 {
        let attempt = stage.running(operation()).await?;
        let body = vec![round; 10_000];
        let mut readers = JoinSet::new();
        for number in 0..4 {
            let (store, body) = (stage.either(number), body.clone());
            readers.spawn(async move {
                loop {
                    let found = store.read(attempt.operation, Some(&owner()), Part::Reply).await?;
                    let found = found.ok_or_else(|| Violation::new("unknown while it ends"))?;
                    let kept = found.end.as_ref().map(|end| (end.reply.state(), end.reply.body() == body));
                    match found.life.state {
                        State::Running => equal("the end of what runs", kept, None)?,
                        state => return equal("the end of what has ended", kept, Some((state, true))),
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        let store = stage.either(round.into());
        let finishing = tokio::task::spawn_blocking({
            let runtime = tokio::runtime::Handle::current();
            move || runtime.block_on(async move { store.finish(attempt, Arc::new(reply(StatusCode::OK, &body))).await })
        });
        while let Some(read) = readers.join_next().await {
            read.map_err(|panicked| Violation::new(panicked.to_string()))??;
        }
        finishing.await.map_err(|panicked| Violation::new(panicked.to_string()))??;
    }
    Ok(())
}

pub(super) async fn an_end_says_when_and_after_how_long(stage: Stage) -> Checked {
    let attempt = stage.running(operation().on("/slow")).await?;
    stage.pass(Duration::from_millis(50)).await?;
    let finished = stage.store.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await?;
    let found = stage.read(attempt.operation).await?;
    let at = found.end.map(|end| end.at).ok_or_else(|| Violation::new("what has ended has no end"))?;
    hold!(found.created < at && at <= found.now, "created {}, ended {at}, read {}", found.created, found.now);
    let (ran, whole) = (finished.run_time, at.since(found.created));
    hold!(
        ran.abs_diff(whole) <= Duration::from_millis(2),
        "it ran for {ran:?}, and ended {whole:?} after its creation"
    );
    equal("the route", finished.terms.route(), "/slow")?;
    let canceled = stage.running(operation().on("/canceled")).await?;
    match stage.other.cancel(canceled.operation, Some(&owner())).await? {
        Cancellation::Canceled(finished) => equal("the route", finished.terms.route(), "/canceled"),
        other => Err(Violation::new(format!("expected that it is canceled, found {other:?}"))),
    }
}

pub(super) async fn what_is_forgotten_is_unknown_and_what_runs_is_not_forgotten(stage: Stage) -> Checked {
    let running = stage.running(operation()).await?;
    let queued = match stage.lease {
        Some(_) => Some(stage.create(durable()).await?),
        None => None,
    };
    for id in [Some(running.operation), queued].into_iter().flatten() {
        hold!(!stage.other.forget(id, Some(&owner())).await?, "what has not ended was forgotten");
        stage.read(id).await?;
        stage.store.cancel(id, Some(&owner())).await?;
        hold!(stage.other.forget(id, Some(&owner())).await?, "what has ended was not forgotten");
        for store in [&stage.store, &stage.other] {
            super::owners::expect_unknown(store, id, Some(&owner())).await?;
            super::fencing::expect_no_attempt(store, Attempt { operation: id, number: 1 }).await?;
        }
    }
    Ok(())
}

pub(super) async fn the_report_with_the_highest_number_stays(stage: Stage) -> Checked {
    let attempt = stage.running(operation()).await?;
    for (number, stays) in [(2, 2), (1, 2), (7, 7), (3, 7), (u64::from(u32::MAX) + 9, u64::from(u32::MAX) + 9)] {
        stage.either(stays as usize).report(attempt, report(number)).await?;
        equal("the report", stage.read(attempt.operation).await?.progress, Some(report(stays)))?;
    }
    Ok(())
}

pub(super) async fn counts_come_right(stage: Stage) -> Checked {
    stage.running(operation()).await?;
    let size = reply(StatusCode::OK, &[7; 10_000]).size() as u64;
    let mut ended = Vec::new();
    for status in [StatusCode::OK, StatusCode::OK, StatusCode::OK, StatusCode::CONFLICT, StatusCode::CONFLICT] {
        ended.push(stage.ended(operation(), reply(status, &[7; 10_000])).await?);
    }
    stage.store.cancel(stage.running(operation()).await?.operation, Some(&owner())).await?;
    let queued = match stage.lease {
        Some(_) => stage.create(durable()).await.map(|_| 1)?,
        None => 0,
    };
    // One more runs: the clock.
    expect_counts(&stage, [queued, 2, 3, 2, 1], 5 * size).await?;
    for id in ended {
        stage.store.forget(id, Some(&owner())).await?;
    }
    expect_counts(&stage, [queued, 2, 0, 0, 1], 0).await
}

async fn expect_counts(stage: &Stage, expected: [u64; 5], bytes: u64) -> Checked {
    // A store may count what it adds to each.
    let enough = |found: u64| if bytes == 0 { found == 0 } else { (bytes..=bytes + bytes / 2).contains(&found) };
    for store in [&stage.store, &stage.other] {
        eventually(&format!("counted are {expected:?}, and some {bytes} bytes"), async || {
            let found = store.counts().await?;
            let states = [found.queued, found.running, found.succeeded, found.failed, found.canceled];
            Ok((states == expected && enough(found.reply_bytes)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn what_is_done_over_one_connection_is_announced_over_the_other(stage: Stage) -> Checked {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let listener: Listener = Arc::new(move |change| hears.lock().unwrap_or_else(PoisonError::into_inner).push(change));
    stage.other.announce_to(Arc::clone(&listener));
    let take = || std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    let expect = async |what: &str, change: Change| {
        eventually(&format!("it is announced that {what}"), async || {
            let heard = take();
            Ok((heard.contains(&change) || heard.contains(&Change::Anything)).then_some(()))
        })
        .await
    };
    // The listener may be heard of only a little later: until then, all is said again.
    eventually("anything is announced", async || {
        stage.running(operation()).await.map(|attempt| stage.store.report(attempt, report(1)))?.await?;
        Ok((!take().is_empty()).then_some(()))
    })
    .await?;
    let running = async || Ok::<OperationId, Violation>(stage.running(operation()).await?.operation);
    let (reported, finished, canceled) = (running().await?, running().await?, running().await?);
    stage.store.report(Attempt { operation: reported, number: 1 }, report(1)).await?;
    expect("there is progress", Change::Operation(reported)).await?;
    stage.store.finish(Attempt { operation: finished, number: 1 }, Arc::new(reply(StatusCode::OK, b""))).await?;
    expect("one has finished", Change::Operation(finished)).await?;
    stage.store.cancel(canceled, Some(&owner())).await?;
    expect("one is canceled", Change::Operation(canceled)).await?;
    if stage.lease.is_some() {
        stage.create(durable()).await?;
        expect("there is something to claim", Change::Queued).await?;
    }
    Ok(())
}
