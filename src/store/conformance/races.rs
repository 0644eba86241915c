//! A hundred at once, over both connections: one wins, and nobody sees anything half done.

use std::sync::Arc;

use http::StatusCode;
use tokio::{runtime::Handle, sync::watch, task::spawn_blocking};

use super::{
    stage::{LONG, Stage, durable, operation, owner, reply, report},
    violation::{Checked, Violation, equal, hold},
};
use crate::{
    operation::{Failure, Life, OperationId, Refused, State},
    store::contract::{Cancellation, Created, ListFilter, Part, StoreError},
};

pub(super) const MANY: usize = 100;

/// Has all of them done at once, on as many threads, and returns what came of each.
pub(super) async fn race<T, F>(contenders: impl IntoIterator<Item = F>) -> Result<Vec<T>, Violation>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (gate, opened) = watch::channel(());
    let racing: Vec<_> = contenders
        .into_iter()
        .map(|contender| {
            let (runtime, mut opened) = (Handle::current(), opened.clone());
            spawn_blocking(move || {
                runtime.block_on(async move {
                    let _gone = opened.changed().await;
                    contender.await
                })
            })
        })
        .collect();
    drop(gate);
    let mut answers = Vec::new();
    for contender in racing {
        answers.push(contender.await.map_err(|panicked| Violation::new(panicked.to_string()))?);
    }
    Ok(answers)
}

/// Those that were not refused as expected, with their numbers.
pub(super) fn winners<T>(answers: Vec<Result<T, StoreError>>, expected: Refused) -> Result<Vec<(usize, T)>, Violation> {
    let mut winners = Vec::new();
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(won) => winners.push((number, won)),
            Err(StoreError::Refused(refused)) if refused == expected => {}
            Err(StoreError::Refused(refused)) => {
                return Err(Violation::new(format!("a loser was refused with {refused:?}, not with {expected:?}")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(winners)
}

pub(super) async fn r9_one_of_many_finishes_wins(stage: Stage) -> Checked {
    for _ in 0..3 {
        let attempt = stage.running(operation()).await?;
        let answers =
            race(
                (0..MANY).map(|number| {
                    let store = stage.either(number);
                    async move {
                        store.finish(attempt, Arc::new(reply(StatusCode::OK, number.to_string().as_bytes()))).await
                    }
                }),
            )
            .await?;
        let won = winners(answers, Refused::Ended(State::Succeeded))?;
        equal("how many won", won.len(), 1)?;
        let body = stage.read(attempt.operation).await?.end.map(|end| end.reply.body().to_vec());
        equal("the reply", body, Some(won[0].0.to_string().into_bytes()))?;
    }
    Ok(())
}

pub(super) async fn r9_one_of_many_cancellations_wins(stage: Stage) -> Checked {
    let id = stage.running(operation()).await?.operation;
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number);
        async move { store.cancel(id, Some(&owner())).await }
    }))
    .await?;
    let mut won = 0;
    for answer in answers {
        match answer? {
            Cancellation::Canceled(_) => won += 1,
            Cancellation::AlreadyEnded => {}
            Cancellation::Unknown => return Err(Violation::new("an operation that is canceled by others is unknown")),
        }
    }
    equal("how many won", won, 1)
}

pub(super) async fn r9_of_finishes_and_cancellations_one_wins(stage: Stage) -> Checked {
    for _ in 0..5 {
        let attempt = stage.running(operation()).await?;
        let answers = race((0..MANY).map(|number| {
            let store = stage.either(number / 2);
            async move {
                match number % 2 {
                    0 => store
                        .finish(attempt, Arc::new(reply(StatusCode::OK, b"")))
                        .await
                        .map(|finished| Some(finished.state)),
                    _ => store.cancel(attempt.operation, Some(&owner())).await.map(|answer| match answer {
                        Cancellation::Canceled(finished) => Some(finished.state),
                        Cancellation::AlreadyEnded | Cancellation::Unknown => None,
                    }),
                }
            }
        }))
        .await?;
        let state = stage.read(attempt.operation).await?.life.state;
        let won: Vec<_> = winners(answers, Refused::Ended(state))?.into_iter().filter_map(|(_, won)| won).collect();
        equal("who won", won, vec![state])?;
    }
    Ok(())
}

pub(super) async fn r9_an_attempt_is_given_up_once_however_it_is(stage: Stage) -> Checked {
    for _ in 0..3 {
        let attempt = stage.running(durable().attempts(2, LONG)).await?;
        let answers = race((0..MANY).map(|number| {
            let store = stage.either(number / 2);
            async move {
                match number % 2 {
                    0 => store.retry(attempt, Failure::Panicked).await.map(|ended| (1, ended.is_some())),
                    _ => store.hand_back(attempt).await.map(|ended| (0, ended.is_some())),
                }
            }
        }))
        .await?;
        let won = winners(answers, Refused::Superseded { latest: 1 })?;
        equal("how many won", won.len(), 1)?;
        let (failures, ended) = won[0].1;
        hold!(!ended, "it ended although an attempt is left");
        let life = stage.read(attempt.operation).await?.life;
        equal("its life", life, Life { state: State::Queued, attempt: 1, failures })?;
        stage.store.cancel(attempt.operation, Some(&owner())).await?;
    }
    Ok(())
}

pub(super) async fn r9_many_creations_under_one_key_are_one_operation(stage: Stage) -> Checked {
    for round in 0..3 {
        let lease = stage.lease;
        let drafts: Vec<_> = (0..MANY).map(|_| operation().under(lease).keyed(round, 1)).collect();
        let ids: Vec<_> = drafts.iter().map(|draft| draft.id).collect();
        let answers = race(drafts.into_iter().enumerate().map(|(number, draft)| {
            let store = stage.either(number);
            async move { store.create(draft.build()).await }
        }))
        .await?;
        let (mut new, mut existing) = (Vec::new(), Vec::new());
        for (id, answer) in ids.iter().zip(answers) {
            match answer? {
                Created::New { .. } => new.push(*id),
                Created::Existing(found) => existing.push(found.id),
                Created::KeyTaken => return Err(Violation::new("the same request was taken for another")),
            }
        }
        equal("how many are new", new.len(), 1)?;
        equal("what the others found", existing, vec![new[0]; MANY - 1])?;
        for id in ids {
            let found = stage.other.read(id, Some(&owner()), Part::Status).await?;
            equal("whether it is there", found.is_some(), id == new[0])?;
        }
    }
    Ok(())
}

pub(super) async fn r9_many_creations_without_a_key_are_as_many_operations(stage: Stage) -> Checked {
    let lease = stage.lease;
    let drafts: Vec<_> = (0..MANY).map(|_| operation().under(lease)).collect();
    let mut ids: Vec<_> = drafts.iter().map(|draft| draft.id).collect();
    let answers = race(drafts.into_iter().enumerate().map(|(number, draft)| {
        let store = stage.either(number);
        async move { store.create(draft.build()).await }
    }))
    .await?;
    for answer in answers {
        let created = answer?;
        hold!(matches!(created, Created::New { .. }), "{created:?}");
    }
    let mut listed = super::lists::list_all(&stage.other, &owner(), ListFilter::default(), 30).await?;
    ids.sort();
    listed.sort();
    equal("what is listed", listed, ids)
}

pub(super) async fn r9_nothing_is_claimed_twice(stage: Stage) -> Checked {
    let mut queued = Vec::new();
    for number in 0..30 {
        queued.push(stage.create(durable().owned_by(format!("owner {}", number % 4))).await?);
    }
    let lease = stage.long_lease()?;
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number);
        async move { store.claim(lease, 1).await }
    }))
    .await?;
    let mut claimed = Vec::new();
    for answer in answers {
        let answer = answer?;
        hold!(answer.len() <= 1, "claimed {} with a limit of 1", answer.len());
        claimed.extend(answer.into_iter().map(|claimed| claimed.attempt));
    }
    // Who was in another's way may have gone without.
    claimed.extend(stage.store.claim(lease, MANY).await?.into_iter().map(|claimed| claimed.attempt));
    hold!(claimed.iter().all(|attempt| attempt.number == 1), "{claimed:?}");
    let mut claimed: Vec<_> = claimed.into_iter().map(|attempt| attempt.operation).collect();
    queued.sort();
    claimed.sort();
    equal("what was claimed", claimed, queued)
}

pub(super) async fn r9_what_is_claimed_and_canceled_at_once_is_canceled(stage: Stage) -> Checked {
    let lease = stage.long_lease()?;
    let mut ids: Vec<OperationId> = Vec::new();
    for _ in 0..20 {
        ids.push(stage.create(durable()).await?);
    }
    let canceled = ids.clone();
    let answers = race((0..40).map(|number| {
        let (store, id) = (stage.either(number / 2), canceled[number / 2]);
        async move {
            match number % 2 {
                0 => store.cancel(id, Some(&owner())).await.map(|answer| matches!(answer, Cancellation::Canceled(_))),
                _ => store.claim(lease, 1).await.map(|_| true),
            }
        }
    }))
    .await?;
    for answer in answers {
        hold!(answer?, "a cancellation was lost to a claim");
    }
    for id in ids {
        equal("its state", stage.read(id).await?.life.state, State::Canceled)?;
    }
    let left = stage.store.claim(lease, MANY).await?;
    hold!(left.is_empty(), "claimed what is canceled: {left:?}");
    Ok(())
}

pub(super) async fn r9_one_of_many_forgets(stage: Stage) -> Checked {
    let id = stage.ended(operation(), reply(StatusCode::OK, b"")).await?;
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number);
        async move { store.forget(id, Some(&owner())).await }
    }))
    .await?;
    let forgotten = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    equal("how many forgot it", forgotten.into_iter().filter(|forgot| *forgot).count(), 1)
}

pub(super) async fn r9_of_many_reports_the_highest_stays(stage: Stage) -> Checked {
    let attempt = stage.running(operation()).await?;
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number);
        // Not in their order.
        async move { store.report(attempt, report((number as u64 * 37) % 100 + 1)).await }
    }))
    .await?;
    answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    equal("the last report", stage.read(attempt.operation).await?.progress, Some(report(100)))
}
