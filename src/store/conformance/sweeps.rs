//! What time brings about: retention, the longest run time, and who goes and looks.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    fencing::{expect_finished, expect_no_attempt},
    owners::expect_unknown,
    stage::{LONG, SHORT, Stage, durable, operation, owner, reply},
    violation::{Checked, equal, hold, refused},
};
use crate::{
    operation::{Ending, Failure, Life, OperationId, Refused, State},
    store::contract::{Attempt, Part},
};

pub(super) async fn what_has_expired_is_unknown_though_nobody_has_swept(stage: Stage) -> Checked {
    let attempt = stage.running(operation().retention(SHORT)).await?;
    stage.store.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await?;
    stage.pass(SHORT).await?;
    for store in [&stage.store, &stage.other] {
        expect_no_attempt(store, attempt).await?;
        expect_unknown(store, attempt.operation, Some(&owner())).await?;
    }
    equal("what is forgotten", stage.sweep().await?.expired, vec![attempt.operation])?;
    expect_unknown(&stage.other, attempt.operation, Some(&owner())).await
}

pub(super) async fn the_retention_begins_with_the_end(stage: Stage) -> Checked {
    let attempt = stage.running(operation().retention(SHORT)).await?;
    let queued = match stage.lease {
        Some(_) => Some(stage.create(durable().retention(SHORT)).await?),
        None => None,
    };
    stage.pass(SHORT * 2).await?;
    stage.sweep().await?;
    equal("its life", stage.read(attempt.operation).await?.life, Life::RUNNING)?;
    if let Some(queued) = queued {
        equal("what is queued", stage.read(queued).await?.life, Life::QUEUED)?;
    }
    let before = stage.now().await?;
    stage.store.cancel(attempt.operation, Some(&owner())).await?;
    let found = stage.other.read(attempt.operation, Some(&owner()), Part::Status).await?;
    hold!(found.is_some() || stage.now().await? >= before.after(SHORT), "it was forgotten as soon as it ended");
    Ok(())
}

pub(super) async fn nothing_is_swept_before_its_time(stage: Stage) -> Checked {
    let running = stage.running(operation().max_run_time(LONG)).await?.operation;
    let ended = stage.ended(operation(), reply(StatusCode::OK, b"")).await?;
    let swept = stage.sweep().await?;
    hold!(swept.expired.is_empty() && swept.ended.is_empty() && swept.queued.is_empty(), "{swept:?}");
    equal("what runs", stage.read(running).await?.life, Life::RUNNING)?;
    equal("what has ended", stage.read(ended).await?.life.state, State::Succeeded)
}

pub(super) async fn what_runs_for_too_long_is_timed_out(stage: Stage) -> Checked {
    let slow = stage.running(operation().max_run_time(SHORT)).await?;
    stage.pass(SHORT).await?;
    expect_timed_out(&stage, slow).await
}

pub(super) async fn what_runs_for_too_long_is_timed_out_even_if_it_could_be_tried_again(stage: Stage) -> Checked {
    let slow = stage.running(durable().max_run_time(SHORT)).await?;
    stage.pass(SHORT).await?;
    expect_timed_out(&stage, slow).await?;
    stage.create(durable().max_run_time(SHORT)).await?;
    let claimed = stage.claim().await?.attempt;
    stage.pass(SHORT).await?;
    expect_timed_out(&stage, claimed).await
}

async fn expect_timed_out(stage: &Stage, attempt: Attempt) -> Checked {
    let swept = stage.sweep().await?;
    hold!(swept.queued.is_empty() && swept.expired.is_empty(), "{swept:?}");
    let (ids, mut ended): (Vec<_>, Vec<_>) = swept.ended.into_iter().unzip();
    equal("what was ended", ids, vec![attempt.operation])?;
    expect_finished(ended.pop(), State::Failed, Some(Failure::TimedOut))?;
    let found = stage.read(attempt.operation).await?;
    equal("its state", found.life.state, State::Failed)?;
    equal("its ending", found.end.map(|end| end.reply.ending()), Some(Ending::Failed(Failure::TimedOut)))?;
    let late = stage.other.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await;
    refused("a late finish", late, Refused::Ended(State::Failed))
}

pub(super) async fn the_time_in_the_queue_is_no_run_time(stage: Stage) -> Checked {
    const LONGEST: Duration = Duration::from_millis(800);
    // Who is late learns nothing, and tries again.
    for _ in 0..10 {
        let id = stage.create(durable().max_run_time(LONGEST)).await?;
        stage.pass(LONGEST).await?;
        stage.sweep().await?;
        equal("what waits for long", stage.read(id).await?.life, Life::QUEUED)?;
        let before = stage.now().await?;
        stage.claim().await?;
        stage.sweep().await?;
        let found = stage.read(id).await?;
        if found.now < before.after(LONGEST) {
            return equal("what has just begun", found.life, Life::RUNNING);
        }
        stage.store.cancel(id, Some(&owner())).await?;
    }
    Err(super::Violation::new("the store is too slow to tell: to claim, sweep and read took 800 ms each time"))
}

pub(super) async fn a_sweep_in_small_steps_comes_to_everything(stage: Stage) -> Checked {
    let mut due: Vec<OperationId> = Vec::new();
    let mut lapsing = Vec::new();
    for _ in 0..5 {
        due.push(stage.ended(operation().retention(SHORT), reply(StatusCode::OK, b"")).await?);
        due.push(stage.running(operation().max_run_time(SHORT)).await?.operation);
        if stage.lease.is_some() {
            lapsing.push(stage.running(operation()).await?);
            lapsing.push(stage.running(durable()).await?);
        }
    }
    match stage.lease {
        Some(_) => drop(stage.over(lapsing.clone()).await?),
        None => stage.pass(SHORT).await?,
    }
    due.extend(lapsing.iter().map(|attempt| attempt.operation));
    let mut swept = Vec::new();
    for round in 0.. {
        let step = stage.either(round).sweep(1).await?;
        hold!(step.expired.len() <= 1, "a sweep of one forgot {}", step.expired.len());
        // What has run for too long, and what was lost.
        let over = step.ended.len() + step.queued.len();
        hold!(over <= 2, "a sweep of one of each ended {over}");
        swept.extend(step.expired);
        swept.extend(step.ended.into_iter().map(|(id, _)| id));
        swept.extend(step.queued);
        if !step.more {
            break;
        }
        hold!(round < 200, "there is always more to sweep");
    }
    due.sort();
    swept.sort();
    equal("what was swept, once there is no more", swept, due)
}
