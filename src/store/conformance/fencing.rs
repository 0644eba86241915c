//! The table of an operation's life, cell by cell, and what fences the writes of stale workers.

use std::{fmt::Debug, sync::Arc};

use http::StatusCode;

use super::{
    stage::{Stage, durable, nowhere, operation, owner, reply, report},
    violation::{Checked, Violation, equal, hold, refused},
};
use crate::{
    operation::{Ending, Failure, Life, OperationId, Refused, Reply, State},
    store::contract::{Attempt, Cancellation, Finished, Snapshot, Store},
};

/// Has every write of this attempt refused, over both connections, and expects that nothing changes.
async fn expect_refused(stage: &Stage, attempt: Attempt, expected: Refused) -> Checked {
    let before = stage.read(attempt.operation).await?;
    for store in [&stage.store, &stage.other] {
        refused("finish", store.finish(attempt, Arc::new(reply(StatusCode::OK, b"late"))).await, expected)?;
        refused("retry", store.retry(attempt, Failure::Panicked).await, expected)?;
        refused("hand_back", store.hand_back(attempt).await, expected)?;
        refused("report", store.report(attempt, report(99)).await, expected)?;
    }
    equal("what was refused changed it", seen(&stage.read(attempt.operation).await?), seen(&before))
}

/// What must not change by itself.
fn seen(snapshot: &Snapshot) -> impl PartialEq + Debug + use<> {
    let end = snapshot.end.as_ref().map(|end| (end.at, end.reply.to_record()));
    (snapshot.life, snapshot.progress.clone(), snapshot.failed_attempts.clone(), end)
}

async fn expect_life(stage: &Stage, id: OperationId, state: State, attempt: u32, failures: u32) -> Checked {
    equal("its life", stage.read(id).await?.life, Life { state, attempt, failures })
}

/// What a step that ends something says of it.
pub(super) fn expect_finished(finished: Option<Finished>, state: State, failure: Option<Failure>) -> Checked {
    match finished {
        Some(finished) => equal("how it ended", (finished.state, finished.failure), (state, failure)),
        None => Err(Violation::new(format!("expected that it ends as {state}, and it did not end"))),
    }
}

pub(super) async fn no_attempt_of_a_queued_operation_writes(stage: Stage) -> Checked {
    let queued = stage.create(durable()).await?;
    for number in [0, 1] {
        expect_refused(&stage, Attempt { operation: queued, number }, Refused::Superseded { latest: 0 }).await?;
    }
    let attempt = stage.claim().await?.attempt;
    stage.store.hand_back(attempt).await?;
    expect_refused(&stage, attempt, Refused::Superseded { latest: 1 }).await
}

pub(super) async fn the_attempt_that_runs_writes(stage: Stage) -> Checked {
    let finished = stage.running(operation()).await?;
    stage.other.report(finished, report(1)).await?;
    let end = stage.other.finish(finished, Arc::new(reply(StatusCode::OK, b""))).await?;
    expect_finished(Some(end), State::Succeeded, None)?;
    expect_life(&stage, finished.operation, State::Succeeded, 1, 0).await?;
    let failed = stage.running(operation()).await?;
    let end = stage.other.finish(failed, Arc::new(reply(StatusCode::BAD_REQUEST, b""))).await?;
    expect_finished(Some(end), State::Failed, None)?;
    expect_life(&stage, failed.operation, State::Failed, 1, 0).await
}

pub(super) async fn a_retry_queues_while_attempts_are_left(stage: Stage) -> Checked {
    let attempt = stage.running(durable()).await?;
    let end = stage.other.retry(attempt, Failure::Panicked).await?;
    hold!(end.is_none(), "it ended although an attempt is left: {end:?}");
    expect_life(&stage, attempt.operation, State::Queued, 1, 1).await?;
    let second = stage.claim_in_time().await?.attempt;
    equal("the second attempt", second, Attempt { number: 2, ..attempt })?;
    let end = stage.other.retry(second, Failure::ServiceError).await?;
    expect_finished(end, State::Failed, Some(Failure::ServiceError))?;
    expect_life(&stage, attempt.operation, State::Failed, 2, 2).await?;
    let found = stage.read(attempt.operation).await?;
    let failed: Vec<_> = found.failed_attempts.iter().map(|failed| (failed.number, failed.failure)).collect();
    equal("its failed attempts", failed, vec![(1, Failure::Panicked), (2, Failure::ServiceError)])?;
    let times: Vec<_> = found.failed_attempts.iter().map(|failed| failed.at).collect();
    hold!(times.is_sorted() && found.created <= times[0] && times[1] <= found.now, "they failed at {times:?}");
    let ending = found.end.map(|end| end.reply.ending());
    equal("its ending", ending, Some(Ending::Failed(Failure::ServiceError)))
}

pub(super) async fn a_retry_ends_what_is_not_durable(stage: Stage) -> Checked {
    let attempt = stage.running(operation()).await?;
    let end = stage.other.retry(attempt, Failure::ServiceError).await?;
    expect_finished(end, State::Failed, Some(Failure::ServiceError))?;
    expect_life(&stage, attempt.operation, State::Failed, 1, 1).await?;
    let ending = stage.read(attempt.operation).await?.end.map(|end| end.reply.ending());
    equal("its ending", ending, Some(Ending::Failed(Failure::ServiceError)))
}

pub(super) async fn what_is_handed_back_is_queued_at_once_and_has_not_failed(stage: Stage) -> Checked {
    let mut attempt = stage.running(durable()).await?;
    // More often than it may fail.
    for number in 1..=4 {
        equal("the attempt", attempt.number, number)?;
        let end = stage.other.hand_back(attempt).await?;
        hold!(end.is_none(), "it ended when it was handed back: {end:?}");
        expect_life(&stage, attempt.operation, State::Queued, number, 0).await?;
        hold!(stage.read(attempt.operation).await?.failed_attempts.is_empty(), "it counts as failed");
        attempt = stage.claim().await?.attempt;
    }
    Ok(())
}

pub(super) async fn what_is_handed_back_and_not_durable_is_interrupted(stage: Stage) -> Checked {
    let attempt = stage.running(operation()).await?;
    let end = stage.other.hand_back(attempt).await?;
    expect_finished(end, State::Failed, Some(Failure::Interrupted))?;
    let found = stage.read(attempt.operation).await?;
    equal("its state", found.life.state, State::Failed)?;
    equal("its ending", found.end.map(|end| end.reply.ending()), Some(Ending::Failed(Failure::Interrupted)))
}

pub(super) async fn the_writes_of_an_earlier_attempt_are_refused(stage: Stage) -> Checked {
    let first = stage.running(durable()).await?;
    stage.store.retry(first, Failure::Lost).await?;
    expect_refused(&stage, first, Refused::Superseded { latest: 1 }).await?;
    let second = stage.claim_in_time().await?.attempt;
    stage.store.report(second, report(3)).await?;
    for number in [0, 1, 3] {
        expect_refused(&stage, Attempt { number, ..first }, Refused::Superseded { latest: 2 }).await?;
    }
    stage.other.finish(second, Arc::new(reply(StatusCode::OK, b"second"))).await?;
    for number in [1, 2, 3] {
        expect_refused(&stage, Attempt { number, ..first }, Refused::Ended(State::Succeeded)).await?;
    }
    Ok(())
}

pub(super) async fn r9_what_has_ended_never_changes(stage: Stage) -> Checked {
    let succeeded = stage.running(operation()).await?;
    stage.store.finish(succeeded, Arc::new(reply(StatusCode::OK, b"first"))).await?;
    let failed = stage.running(operation()).await?;
    stage.store.finish(failed, Arc::new(Reply::none(Ending::Failed(Failure::Panicked)))).await?;
    let canceled = stage.running(operation()).await?;
    stage.store.cancel(canceled.operation, Some(&owner())).await?;
    for (attempt, state) in [(succeeded, State::Succeeded), (failed, State::Failed), (canceled, State::Canceled)] {
        expect_refused(&stage, attempt, Refused::Ended(state)).await?;
        let before = stage.read(attempt.operation).await?;
        let again = stage.other.cancel(attempt.operation, Some(&owner())).await?;
        hold!(matches!(again, Cancellation::AlreadyEnded), "canceled after its end: {again:?}");
        equal("cancel changed it", seen(&stage.read(attempt.operation).await?), seen(&before))?;
    }
    Ok(())
}

pub(super) async fn what_has_ended_cannot_be_claimed(stage: Stage) -> Checked {
    let canceled = stage.create(durable()).await?;
    stage.store.cancel(canceled, Some(&owner())).await?;
    stage.ended(durable(), reply(StatusCode::OK, b"")).await?;
    let claimed = stage.other.claim(stage.long_lease()?, 5).await?;
    hold!(claimed.is_empty(), "claimed what has ended: {claimed:?}");
    Ok(())
}

pub(super) async fn whatever_has_not_ended_can_be_canceled(stage: Stage) -> Checked {
    let queued = stage.create(durable()).await?;
    let retried = stage.running(durable()).await?;
    stage.store.retry(retried, Failure::Panicked).await?;
    let running = stage.running(durable()).await?;
    let detached = stage.running(operation()).await?;
    for (id, attempt, failures) in
        [(queued, 0, 0), (retried.operation, 1, 1), (running.operation, 1, 0), (detached.operation, 1, 0)]
    {
        match stage.other.cancel(id, Some(&owner())).await? {
            Cancellation::Canceled(finished) => expect_finished(Some(finished), State::Canceled, None)?,
            other => return Err(Violation::new(format!("expected that it is canceled, found {other:?}"))),
        }
        expect_life(&stage, id, State::Canceled, attempt, failures).await?;
        equal("its ending", stage.read(id).await?.end.map(|end| end.reply.ending()), Some(Ending::Canceled))?;
    }
    Ok(())
}

pub(super) async fn what_was_never_there_is_unknown(stage: Stage) -> Checked {
    let nowhere = nowhere();
    for store in [&stage.store, &stage.other] {
        expect_no_attempt(store, nowhere).await?;
        super::owners::expect_unknown(store, nowhere.operation, Some(&owner())).await?;
    }
    Ok(())
}

/// Expects that the attempt's operation is unknown to whoever writes.
pub(super) async fn expect_no_attempt(store: &Arc<dyn Store>, attempt: Attempt) -> Checked {
    refused("finish", store.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await, Refused::Unknown)?;
    refused("retry", store.retry(attempt, Failure::Lost).await, Refused::Unknown)?;
    refused("hand_back", store.hand_back(attempt).await, Refused::Unknown)?;
    refused("report", store.report(attempt, report(1)).await, Refused::Unknown)
}
