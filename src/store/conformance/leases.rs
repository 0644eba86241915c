//! Leases: a replica's promise to be heard of, and what becomes of its attempts when it is not.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    fencing::expect_finished,
    stage::{LONG, Stage, durable, eventually, nowhere, operation, owner, reply},
    violation::{Checked, Violation, equal, hold, refused},
};
use crate::{
    operation::{Ending, Failure, Life, OperationId, Refused, State},
    store::contract::{Attempt, LeaseId},
};

pub(super) async fn no_two_leases_have_the_same_name(stage: Stage) -> Checked {
    let mut names = Vec::new();
    for round in 0..10 {
        let store = stage.either(round / 2);
        let opened = store.open_lease(LONG, Vec::new()).await?;
        if round % 2 == 0 {
            store.close_lease(opened.id).await?;
        }
        hold!(!names.contains(&opened.id), "{:?} was there before", opened.id);
        names.push(opened.id);
    }
    Ok(())
}

/// Has everything refused that is done under a lease.
async fn expect_over(stage: &Stage, lease: LeaseId) -> Checked {
    for store in [&stage.other, &stage.store] {
        refused("renew", store.renew(lease, Vec::new()).await, Refused::LeaseOver)?;
        refused("claim", store.claim(lease, 1).await, Refused::LeaseOver)?;
        let draft = operation().under(Some(lease));
        refused("create", store.create(draft.build()).await, Refused::LeaseOver)?;
    }
    Ok(())
}

pub(super) async fn a_lease_that_never_was_is_over(stage: Stage) -> Checked {
    stage.create(durable()).await?;
    let LeaseId(long) = stage.long_lease()?;
    for never in [LeaseId(long.wrapping_add(1_000_000)), LeaseId(0), LeaseId(-1), LeaseId(i64::MAX)] {
        expect_over(&stage, never).await?;
    }
    stage.claim().await.map(drop)
}

pub(super) async fn a_lease_that_is_over_is_not_renewed_though_nobody_has_noticed(stage: Stage) -> Checked {
    let over = stage.over(Vec::new()).await?;
    refused("renew", stage.other.renew(over, Vec::new()).await, Refused::LeaseOver)?;
    stage.create(durable()).await?;
    expect_over(&stage, over).await?;
    stage.sweep().await?;
    expect_over(&stage, over).await?;
    stage.claim().await.map(drop)
}

pub(super) async fn nothing_is_claimed_under_a_lease_that_is_over_though_nobody_has_noticed(stage: Stage) -> Checked {
    stage.create(durable()).await?;
    let over = stage.over(Vec::new()).await?;
    refused("claim", stage.other.claim(over, 1).await, Refused::LeaseOver)?;
    stage.claim().await.map(drop)
}

pub(super) async fn a_renewed_lease_lasts_for_its_length_from_then_on(stage: Stage) -> Checked {
    const LENGTH: Duration = Duration::from_millis(600);
    // Who is late learns nothing, and tries again.
    for _ in 0..20 {
        let attempt = stage.running(operation()).await?;
        let opened = stage.now().await?;
        let lease = stage.store.open_lease(LENGTH, vec![attempt]).await?.id;
        stage.pass(LENGTH / 2).await?;
        let renewed = stage.now().await?;
        let answer = stage.store.renew(lease, vec![attempt]).await;
        if stage.now().await? >= opened.after(LENGTH) {
            continue;
        }
        equal("the attempts that no longer run", answer?, Vec::new())?;
        stage.pass(LENGTH - LENGTH / 2).await?;
        stage.sweep().await?;
        let found = stage.read(attempt.operation).await?;
        if found.now < renewed.after(LENGTH) {
            return equal("its life under a renewed lease", found.life, Life::RUNNING);
        }
    }
    Err(Violation::new("the store is too slow to tell: each time, a lease of 600 ms was over before it was renewed"))
}

pub(super) async fn a_lapsed_lease_loses_what_is_not_durable(stage: Stage) -> Checked {
    let attempt = stage.running(operation()).await?;
    stage.over(vec![attempt]).await?;
    equal("its life before anybody has noticed", stage.read(attempt.operation).await?.life, Life::RUNNING)?;
    let mut swept = stage.sweep().await?;
    let ended = swept.ended.pop().ok_or_else(|| Violation::new("the sweep has ended nothing"))?;
    equal("what was ended", ended.0, attempt.operation)?;
    expect_finished(Some(ended.1), State::Failed, Some(Failure::Lost))?;
    hold!(swept.ended.is_empty() && swept.queued.is_empty() && swept.expired.is_empty(), "{swept:?}");
    let found = stage.read(attempt.operation).await?;
    equal("its ending", found.end.map(|end| end.reply.ending()), Some(Ending::Failed(Failure::Lost)))?;
    let late = stage.other.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await;
    refused("a late finish", late, Refused::Ended(State::Failed))
}

pub(super) async fn a_lapsed_lease_has_what_is_durable_tried_again_and_at_last_lost(stage: Stage) -> Checked {
    const REST: Duration = Duration::from_millis(300);
    let first = stage.running(durable().attempts(3, REST)).await?;
    stage.over(vec![first]).await?;
    let mut attempt = first;
    for failures in 1..=2 {
        let swept = stage.sweep().await?;
        equal("what was queued again", swept.queued, vec![first.operation])?;
        hold!(swept.ended.is_empty(), "ended although attempts are left: {:?}", swept.ended);
        let queued = Life { state: State::Queued, attempt: failures, failures };
        equal("its life", stage.read(first.operation).await?.life, queued)?;
        let late = stage.other.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await;
        refused("a late finish", late, Refused::Superseded { latest: failures })?;
        attempt = stage.claim_in_time().await?.attempt;
        equal("the next attempt", attempt.number, failures + 1)?;
        let claimed = stage.read(first.operation).await?;
        let rested = claimed.failed_attempts.last().map(|failed| claimed.now.since(failed.at));
        hold!(rested >= Some(REST * failures), "claimed after a rest of {rested:?}, not {:?}", REST * failures);
        stage.over(vec![attempt]).await?;
    }
    let swept = stage.sweep().await?;
    hold!(swept.queued.is_empty(), "queued again although no attempt is left");
    let (_, ended) = swept.ended.into_iter().next().unzip();
    expect_finished(ended, State::Failed, Some(Failure::Lost))?;
    let found = stage.read(first.operation).await?;
    let failed: Vec<_> = found.failed_attempts.iter().map(|failed| (failed.number, failed.failure)).collect();
    equal("its failed attempts", failed, vec![(1, Failure::Lost), (2, Failure::Lost), (3, Failure::Lost)])?;
    equal("its ending", found.end.map(|end| end.reply.ending()), Some(Ending::Failed(Failure::Lost)))
}

pub(super) async fn a_finish_counts_as_long_as_nobody_has_noticed_that_its_lease_is_over(stage: Stage) -> Checked {
    let attempt = stage.running(operation()).await?;
    stage.over(vec![attempt]).await?;
    stage.other.finish(attempt, Arc::new(reply(StatusCode::OK, b"late"))).await?;
    let swept = stage.sweep().await?;
    hold!(swept.ended.is_empty() && swept.queued.is_empty(), "a rescuer who came too late did something: {swept:?}");
    let found = stage.read(attempt.operation).await?;
    equal("its reply", found.end.map(|end| end.reply.body().to_vec()), Some(b"late".to_vec()))
}

pub(super) async fn a_lease_brings_along_what_still_runs_and_names_the_rest(stage: Stage) -> Checked {
    let (bare, held, late) =
        (stage.running(operation()).await?, stage.running(durable()).await?, stage.running(durable()).await?);
    let ended = stage.running(operation()).await?;
    stage.store.finish(ended, Arc::new(reply(StatusCode::OK, b""))).await?;
    let canceled = stage.running(operation()).await?;
    stage.store.cancel(canceled.operation, Some(&owner())).await?;
    let retried = stage.running(durable().attempts(9, Duration::ZERO)).await?;
    stage.store.retry(retried, Failure::Panicked).await?;
    let retaken = Attempt { number: 2, ..retried };
    let mut claimed = stage.store.claim(stage.long_lease()?, 1).await?;
    equal("the next attempt", claimed.pop().map(|claimed| claimed.attempt), Some(retaken))?;
    let queued = stage.running(durable()).await?;
    stage.store.hand_back(queued).await?;
    // Nobody has noticed that it is over, so what ran under it still does.
    let over = stage.over(vec![late]).await?;
    let lost = [ended, canceled, retried, queued, nowhere()];
    let running = [bare, held, late, retaken];
    let opened = stage.other.open_lease(LONG, [lost.as_slice(), &running].concat()).await?;
    equal("what is lost", sorted(opened.lost), sorted(lost.to_vec()))?;
    stage.store.close_lease(over).await?;
    stage.store.close_lease(stage.long_lease()?).await?;
    stage.sweep().await?;
    for attempt in running {
        let life = stage.read(attempt.operation).await?.life;
        equal("the life of what was brought along", (life.state, life.attempt), (State::Running, attempt.number))?;
    }
    equal("what no longer runs", stage.store.renew(opened.id, running.to_vec()).await?, Vec::new())
}

fn sorted(mut attempts: Vec<Attempt>) -> Vec<Attempt> {
    attempts.sort();
    attempts
}

pub(super) async fn a_renewal_names_what_no_longer_runs(stage: Stage) -> Checked {
    let running = stage.running(operation()).await?;
    let ended = stage.running(operation()).await?;
    stage.other.finish(ended, Arc::new(reply(StatusCode::OK, b""))).await?;
    let canceled = stage.running(durable()).await?;
    stage.other.cancel(canceled.operation, Some(&owner())).await?;
    let taken = stage.running(durable()).await?;
    stage.other.retry(taken, Failure::Lost).await?;
    let retaken = stage.claim_in_time().await?.attempt;
    let forgotten = stage.running(operation()).await?;
    stage.other.cancel(forgotten.operation, Some(&owner())).await?;
    stage.other.forget(forgotten.operation, Some(&owner())).await?;
    let asked = vec![running, ended, canceled, taken, retaken, forgotten];
    let named = stage.store.renew(stage.long_lease()?, asked).await?;
    equal("what no longer runs", sorted(named), sorted(vec![ended, canceled, taken, forgotten]))
}

pub(super) async fn a_renewed_lease_holds_what_was_held_under_another(stage: Stage) -> Checked {
    let running = [stage.running(operation()).await?, stage.running(durable()).await?];
    let late = stage.other.open_lease(LONG, running.to_vec()).await?.id;
    let left = stage.running(operation()).await?;
    let other = stage.other.open_lease(LONG, vec![left]).await?.id;
    equal("what no longer runs", stage.store.renew(stage.long_lease()?, running.to_vec()).await?, Vec::new())?;
    stage.store.close_lease(late).await?;
    stage.store.close_lease(other).await?;
    stage.sweep().await?;
    for attempt in running {
        equal("the life of what was held anew", stage.read(attempt.operation).await?.life, Life::RUNNING)?;
    }
    equal("the state of what was not", stage.read(left.operation).await?.state(), State::Failed)?;
    stage.store.close_lease(stage.long_lease()?).await?;
    stage.sweep().await?;
    let states = [stage.read(running[0].operation).await?.state(), stage.read(running[1].operation).await?.state()];
    equal("the states of what ran under the lease that was renewed", states, [State::Failed, State::Queued])
}

pub(super) async fn a_closed_lease_is_over_for_what_runs_under_it_and_nothing_else(stage: Stage) -> Checked {
    let kept = stage.running(operation()).await?.operation;
    let lease = stage.store.open_lease(LONG, Vec::new()).await?.id;
    let lost = stage.create(operation().under(Some(lease))).await?;
    let queued = stage.create(durable().under(Some(lease))).await?;
    stage.other.close_lease(lease).await?;
    expect_over(&stage, lease).await?;
    let state = async |id: OperationId| Ok::<_, Violation>(stage.read(id).await?.life.state);
    eventually("what ran under it is retried", async || {
        stage.sweep().await?;
        Ok((state(lost).await? == State::Failed && state(queued).await? == State::Queued).then_some(()))
    })
    .await?;
    equal(
        "what was lost",
        stage.read(lost).await?.end.map(|end| end.reply.ending()),
        Some(Ending::Failed(Failure::Lost)),
    )?;
    equal("what was queued", stage.read(queued).await?.life, Life { state: State::Queued, attempt: 1, failures: 1 })?;
    equal("what runs under another lease", state(kept).await?, State::Running)
}
