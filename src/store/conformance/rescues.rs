//! A hundred replicas at once: leases, sweeps and claims get in each other's way, and every operation is in one hand.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    Violation,
    races::{MANY, race, winners},
    stage::{LONG, SHORT, Stage, durable, eventually, operation, owner, reply},
    violation::{Checked, equal, hold, refused},
};
use crate::{
    operation::{Life, OperationId, Refused, State},
    store::contract::{Attempt, StoreError, Swept},
};

pub(super) async fn r9_of_a_finish_and_a_rescue_one_wins(stage: Stage) -> Checked {
    let mut attempts = Vec::new();
    for number in 0..40 {
        attempts.push(stage.running(if number % 2 == 0 { operation() } else { durable() }).await?);
    }
    stage.over(attempts.clone()).await?;
    let racing = attempts.clone();
    let answers = race((0..50).map(|number| {
        let store = stage.either(number);
        let attempt = racing.get(number).copied();
        async move {
            match attempt {
                Some(attempt) => {
                    store.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await.map(|_| Swept::default())
                }
                None => store.sweep(7).await,
            }
        }
    }))
    .await?;
    let swept: Swept = answers[40..].iter().flatten().chain([&stage.sweep().await?]).fold(Swept::default(), add);
    let rescued: Vec<_> = swept.ended.into_iter().map(|(id, _)| id).chain(swept.queued).collect();
    for (attempt, answer) in attempts.into_iter().zip(&answers) {
        let found = stage.read(attempt.operation).await?.life;
        let rescues = rescued.iter().filter(|rescued| **rescued == attempt.operation).count();
        let state = match answer {
            Ok(_) => State::Succeeded,
            Err(StoreError::Refused(Refused::Ended(State::Failed))) => State::Failed,
            Err(StoreError::Refused(Refused::Superseded { latest: 1 })) => State::Queued,
            Err(error) => return Err(Violation::new(format!("finish: {error:?}"))),
        };
        equal("its state", found.state, state)?;
        equal("how often it was rescued", rescues, usize::from(state != State::Succeeded))?;
    }
    for answer in answers {
        if let Err(error) = answer
            && !matches!(error, StoreError::Refused(_))
        {
            return Err(error.into());
        }
    }
    Ok(())
}

fn add(mut all: Swept, swept: &Swept) -> Swept {
    all.expired.extend(&swept.expired);
    all.queued.extend(&swept.queued);
    all.ended.extend(swept.ended.iter().map(|(id, finished)| {
        let terms = finished.terms.clone();
        (*id, crate::store::contract::Finished { terms, ..*finished })
    }));
    all
}

pub(super) async fn r9_what_is_due_is_swept_once(stage: Stage) -> Checked {
    let mut due: Vec<OperationId> = Vec::new();
    let mut lapsing = Vec::new();
    for _ in 0..10 {
        due.push(stage.ended(operation().retention(SHORT), reply(StatusCode::OK, b"")).await?);
        due.push(stage.running(operation().max_run_time(SHORT)).await?.operation);
        lapsing.push(stage.running(operation()).await?);
        lapsing.push(stage.running(durable()).await?);
    }
    stage.over(lapsing.clone()).await?;
    due.extend(lapsing.iter().map(|attempt| attempt.operation));
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number);
        async move { store.sweep(3).await }
    }))
    .await?;
    let mut swept = stage.sweep().await?;
    for answer in answers {
        swept = add(swept, &answer?);
    }
    let ended = swept.ended.into_iter().map(|(id, _)| id);
    let mut all: Vec<_> = ended.chain(swept.expired).chain(swept.queued).collect();
    all.sort();
    due.sort();
    equal("what was swept", all, due)?;
    for attempt in lapsing {
        let life = stage.read(attempt.operation).await?.life;
        equal("how often it has failed", (life.attempt, life.failures), (1, 1))?;
    }
    Ok(())
}

pub(super) async fn r9_many_renew_a_lease(stage: Stage) -> Checked {
    let attempt = stage.running(operation()).await?;
    let lease = stage.long_lease()?;
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number);
        async move { store.renew(lease, vec![attempt]).await }
    }))
    .await?;
    for answer in answers {
        equal("what no longer runs", answer?, Vec::new())?;
    }
    equal("its life", stage.read(attempt.operation).await?.life, Life::RUNNING)
}

pub(super) async fn r9_a_lease_is_renewed_or_closed(stage: Stage) -> Checked {
    let lease = stage.store.open_lease(LONG, Vec::new()).await?.id;
    let attempt = Attempt { operation: stage.create(durable().under(Some(lease))).await?, number: 1 };
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number / 2);
        async move {
            match number % 2 {
                0 => store.renew(lease, vec![attempt]).await.map(drop),
                _ => store.close_lease(lease).await,
            }
        }
    }))
    .await?;
    winners(answers, Refused::LeaseOver)?;
    refused("renew", stage.store.renew(lease, Vec::new()).await, Refused::LeaseOver)?;
    eventually("what ran under the lease is queued", async || {
        stage.sweep().await?;
        Ok((stage.read(attempt.operation).await?.life.state == State::Queued).then_some(()))
    })
    .await?;
    equal("how often it has failed", stage.read(attempt.operation).await?.life.failures, 1)
}

pub(super) async fn r9_many_open_leases(stage: Stage) -> Checked {
    let attempt = stage.running(durable()).await?;
    let answers = race((0..MANY).map(|number| {
        let store = stage.either(number);
        async move { store.open_lease(LONG, vec![attempt]).await }
    }))
    .await?;
    let mut names = HashSet::new();
    for answer in answers {
        let opened = answer?;
        hold!(names.insert(opened.id), "{:?} was given out twice", opened.id);
        hold!(opened.lost.is_empty(), "lost what runs: {:?}", opened.lost);
    }
    stage.sweep().await?;
    equal("its life", stage.read(attempt.operation).await?.life, Life::RUNNING)
}

pub(super) async fn r9_many_replicas_work_off_a_queue(stage: Stage) -> Checked {
    let mut queued = Vec::new();
    for number in 0..60 {
        let draft = durable().attempts(2, Duration::ZERO).owned_by(format!("owner {}", number % 5));
        queued.push(stage.create(draft).await?);
    }
    let answers = race((0..10).map(|number| {
        let store = stage.either(number);
        async move {
            let lease = store.open_lease(LONG, Vec::new()).await?.id;
            let mut worked = Vec::new();
            for _ in 0..1_000 {
                let claimed = store.claim(lease, 3).await?;
                if claimed.is_empty() {
                    break;
                }
                for claimed in claimed {
                    // Every third attempt fails, and its operation is somebody's again.
                    match claimed.attempt {
                        attempt if attempt.number == 1 && attempt.operation.noise() % 3 == 0 => {
                            store.hand_back(attempt).await?;
                        }
                        attempt => {
                            store.finish(attempt, Arc::new(reply(StatusCode::OK, b""))).await?;
                            worked.push(attempt.operation);
                        }
                    }
                }
            }
            Ok::<_, StoreError>(worked)
        }
    }))
    .await?;
    let mut worked = Vec::new();
    for answer in answers {
        worked.extend(answer?);
    }
    let distinct: HashSet<_> = worked.iter().copied().collect();
    equal("how many were finished twice", worked.len() - distinct.len(), 0)?;
    // Whoever was in another's way may have gone without: the rest is there still.
    for claimed in stage.store.claim(stage.long_lease()?, 100).await? {
        worked.push(claimed.attempt.operation);
        stage.store.cancel(claimed.attempt.operation, claimed.owner.as_ref().or(Some(&owner()))).await?;
    }
    worked.sort();
    queued.sort();
    equal("what was worked off", worked, queued)
}
