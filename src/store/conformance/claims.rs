//! The queue: who is claimed when, and what the claimant is given.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::{
    stage::{Draft, Stage, durable, reply},
    violation::{Checked, Violation, equal, hold},
};
use crate::operation::{Failure, OperationId, Owner, StoredRequest};

pub(super) async fn a_claim_brings_all_that_is_needed_to_run(stage: Stage) -> Checked {
    let mut headers = HeaderMap::new();
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    let uri = Uri::from_static("/renders/4?size=%20%00");
    let request = StoredRequest::new(Method::PUT, uri, headers, Bytes::from_static(b"\0\xff"));
    let id = stage.create(durable().asking(request.clone()).attempts(7, Duration::from_millis(1_234))).await?;
    let claimed = stage.claim().await?;
    equal("the attempt", (claimed.attempt.operation, claimed.attempt.number), (id, 1))?;
    equal("the request", claimed.request, request)?;
    equal("the owner", claimed.owner.as_ref().map(Owner::as_str), Some("ann"))?;
    equal("when it was created", claimed.created, stage.read(id).await?.created)?;
    equal("the route", claimed.terms.route(), "/renders/{id}")?;
    equal("the attempts", claimed.terms.max_attempts(), 7)?;
    equal("the backoff", claimed.terms.backoff(1), Duration::from_millis(1_234))
}

pub(super) async fn no_more_is_claimed_than_was_asked_for_and_nothing_twice(stage: Stage) -> Checked {
    for _ in 0..5 {
        stage.create(durable()).await?;
    }
    let mut all = Vec::new();
    for (limit, expected) in [(0, 0), (2, 2), (2, 2), (2, 1), (2, 0)] {
        let claimed = stage.either(expected).claim(stage.long_lease()?, limit).await?;
        equal(&format!("how many are claimed with a limit of {limit}"), claimed.len(), expected)?;
        all.extend(claimed.into_iter().map(|claimed| claimed.attempt.operation));
    }
    all.sort();
    hold!(all.windows(2).all(|two| two[0] != two[1]), "claimed twice: {all:?}");
    Ok(())
}

/// Queues these one after the other, so that each is older than the next for the store.
async fn queue(stage: &Stage, drafts: Vec<Draft>) -> Result<Vec<OperationId>, Violation> {
    let mut ids = Vec::new();
    for draft in drafts {
        ids.push(stage.create(draft).await?);
        stage.pass(Duration::from_millis(2)).await?;
    }
    Ok(ids)
}

/// Claims and finishes one after the other.
async fn work_off(stage: &Stage, count: usize) -> Result<Vec<OperationId>, Violation> {
    let mut worked = Vec::new();
    for round in 0..count {
        for claimed in stage.either(round).claim(stage.long_lease()?, 1).await? {
            worked.push(claimed.attempt.operation);
            stage.store.finish(claimed.attempt, Arc::new(reply(StatusCode::OK, b""))).await?;
        }
    }
    Ok(worked)
}

pub(super) async fn the_oldest_goes_first(stage: Stage) -> Checked {
    let queued = queue(&stage, (0..6).map(|_| durable()).collect()).await?;
    equal("the order", work_off(&stage, 6).await?, queued)
}

/// The first part came long before the second.
async fn expect_turns(stage: &Stage, many: Draft, few: Draft) -> Checked {
    let first = queue(stage, (0..6).map(|_| many.again()).collect()).await?;
    let second = queue(stage, (0..2).map(|_| few.again()).collect()).await?;
    let worked = work_off(stage, 4).await?;
    hold!(second.iter().all(|id| worked.contains(id)), "after four claims, one of two has had no turn");
    hold!(first[..2].iter().all(|id| worked.contains(id)), "after four claims, the other of two has had no turn");
    let position = |id: &OperationId| worked.iter().position(|worked| worked == id);
    for older in [&first[..2], &second] {
        hold!(position(&older[0]) < position(&older[1]), "of the same owner and route, the younger goes first");
    }
    equal("how many are left", work_off(stage, 8).await?.len(), 4)
}

pub(super) async fn owners_take_turns(stage: Stage) -> Checked {
    expect_turns(&stage, durable().owned_by("many"), durable().owned_by("few")).await
}

pub(super) async fn nobody_takes_turns_as_an_owner_does(stage: Stage) -> Checked {
    expect_turns(&stage, Draft { owner: None, ..durable() }, durable().owned_by("")).await
}

pub(super) async fn routes_take_turns(stage: Stage) -> Checked {
    expect_turns(&stage, durable().on("/many"), durable().on("/few")).await
}

pub(super) async fn owners_take_turns_within_one_claim(stage: Stage) -> Checked {
    let many = durable().owned_by("many");
    queue(&stage, (0..6).map(|_| many.again()).collect()).await?;
    queue(&stage, vec![durable().owned_by("a"), durable().owned_by("b")]).await?;
    let claimed = stage.store.claim(stage.long_lease()?, 3).await?;
    let mut owners: Vec<_> = claimed.iter().filter_map(|claimed| Some(claimed.owner.as_ref()?.as_str())).collect();
    owners.sort_unstable();
    equal("whose are claimed", owners, vec!["a", "b", "many"])
}

pub(super) async fn what_was_retried_rests_before_it_is_claimed(stage: Stage) -> Checked {
    const REST: Duration = Duration::from_millis(300);
    let attempt = stage.running(durable().attempts(4, REST)).await?;
    let other = stage.running(durable()).await?;
    stage.store.retry(attempt, Failure::Panicked).await?;
    stage.store.hand_back(other).await?;
    let mut failures = 1;
    loop {
        let claimed = stage.claim_in_time().await?.attempt;
        let found = stage.read(claimed.operation).await?;
        if claimed.operation == other.operation {
            // It does not stand in the way of what comes after it.
            stage.store.finish(claimed, Arc::new(reply(StatusCode::OK, b""))).await?;
            continue;
        }
        let rested = found.failed_attempts.last().map(|failed| found.now.since(failed.at));
        let rest = REST * 2_u32.pow(failures - 1);
        hold!(rested >= Some(rest), "claimed after a rest of {rested:?}, not {rest:?}");
        failures += 1;
        if failures > 3 {
            return Ok(());
        }
        stage.store.retry(claimed, Failure::Panicked).await?;
    }
}
