//! Who asks and does not wait: what was asked for is done, or it is not, and never by half.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::StatusCode;
use tokio::time::timeout;

use super::{
    stage::{LONG, Stage, durable, eventually, operation, owner, reply, report},
    violation::{Checked, Violation, equal, hold},
};
use crate::{
    operation::{Failure, Refused, State},
    store::{
        StoreFuture,
        contract::{Cancellation, Created, Part, StoreError},
    },
};

const ROUNDS: u64 = 12;

/// Waits for a while, not at all in the first rounds, and then no more.
async fn abandon<T>(round: u64, mut answer: StoreFuture<T>) {
    match round {
        0 => drop(answer),
        1 => match pin!(&mut answer).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(_) | Poll::Pending => drop(answer),
        },
        _ => drop(timeout(Duration::from_micros(1 << round), answer).await),
    }
}

pub(super) async fn an_abandoned_creation_is_whole_or_not_at_all(stage: Stage) -> Checked {
    for round in 0..ROUNDS {
        let draft = operation().under(stage.lease).keyed(round as u8, 1);
        let again = draft.again();
        abandon(round, stage.store.create(draft.clone().build())).await;
        let id = match stage.other.create(again.clone().build()).await? {
            Created::New { .. } => again.id,
            Created::Existing(found) => found.id,
            Created::KeyTaken => return Err(Violation::new("the same request was taken for another")),
        };
        hold!(id == again.id || id == draft.id, "the key is that of something else");
        equal("its state", stage.read(id).await?.life.state, State::Running)?;
        let canceled = stage.other.cancel(id, Some(&owner())).await?;
        hold!(matches!(canceled, Cancellation::Canceled(_)), "{canceled:?}");
    }
    Ok(())
}

pub(super) async fn an_abandoned_finish_is_whole_or_not_at_all(stage: Stage) -> Checked {
    for round in 0..ROUNDS {
        let attempt = stage.running(operation()).await?;
        let abandoned = [b'a'; 20_000];
        abandon(round, stage.store.finish(attempt, Arc::new(reply(StatusCode::OK, &abandoned)))).await;
        let body: &[u8] = match stage.other.finish(attempt, Arc::new(reply(StatusCode::CONFLICT, b"b"))).await {
            Ok(_) => b"b",
            Err(StoreError::Refused(Refused::Ended(State::Succeeded))) => &abandoned,
            Err(error) => return Err(error.into()),
        };
        let found = stage.read(attempt.operation).await?;
        let end = found.end.ok_or_else(|| Violation::new("what has ended has no end"))?;
        hold!(end.reply.body() == body && end.reply.state() == found.life.state, "the reply is another's, or cut off");
    }
    Ok(())
}

pub(super) async fn whatever_is_abandoned_leaves_the_operation_usable(stage: Stage) -> Checked {
    for round in 0..ROUNDS {
        let attempt = stage.running(operation()).await?;
        abandon(round, stage.store.report(attempt, report(1))).await;
        abandon(round, stage.store.read(attempt.operation, Some(&owner()), Part::Reply)).await;
        abandon(round, stage.store.sweep(5)).await;
        abandon(round, stage.store.counts()).await;
        abandon(round, stage.store.cancel(attempt.operation, Some(&owner()))).await;
        let canceled = stage.other.cancel(attempt.operation, Some(&owner())).await?;
        hold!(!matches!(canceled, Cancellation::Unknown), "it is unknown");
        let found = stage.read(attempt.operation).await?;
        equal("its state", found.end.map(|end| end.reply.state()), Some(State::Canceled))?;
        hold!(found.progress.is_none_or(|kept| kept == report(1)), "it has another's progress");
        abandon(round, stage.store.forget(attempt.operation, Some(&owner()))).await;
        stage.other.forget(attempt.operation, Some(&owner())).await?;
        super::owners::expect_unknown(&stage.other, attempt.operation, Some(&owner())).await?;
    }
    Ok(())
}

pub(super) async fn what_an_abandoned_claim_took_is_given_back_with_its_lease(stage: Stage) -> Checked {
    let mut queued = Vec::new();
    for round in 0..ROUNDS {
        queued.push(stage.create(durable().attempts(9, Duration::ZERO)).await?);
        let lease = stage.store.open_lease(LONG, Vec::new()).await?.id;
        abandon(round, stage.store.claim(lease, 1)).await;
        abandon(round, stage.store.renew(lease, Vec::new())).await;
        abandon(round, stage.store.close_lease(lease)).await;
        stage.other.close_lease(lease).await?;
    }
    for round in 0..ROUNDS {
        let claimed = eventually("everything can be claimed", async || {
            stage.sweep().await?;
            Ok(stage.other.claim(stage.long_lease()?, 1).await?.pop())
        })
        .await?;
        abandon(round, stage.store.retry(claimed.attempt, Failure::Lost)).await;
        abandon(round, stage.store.hand_back(claimed.attempt)).await;
        let last = stage.other.finish(claimed.attempt, Arc::new(reply(StatusCode::OK, b""))).await;
        let id = claimed.attempt.operation;
        match last {
            Ok(_) => {}
            Err(StoreError::Refused(Refused::Superseded { .. })) => {
                let state = stage.read(id).await?.life.state;
                equal("the state of what was given up", state, State::Queued)?;
                stage.other.cancel(id, Some(&owner())).await?;
            }
            Err(error) => return Err(error.into()),
        }
        hold!(queued.contains(&id), "claimed what was not queued");
        queued.retain(|left| *left != id);
    }
    equal("what was never claimed", queued, Vec::new())
}
