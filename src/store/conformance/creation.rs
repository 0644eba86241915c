//! Creating: what is there at once, and what a key is good for.

use std::sync::Arc;

use http::StatusCode;

use super::{
    lists::list_all,
    stage::{Draft, SHORT, Stage, durable, eventually, operation, owner, reply, report},
    violation::{Checked, Violation, equal, hold, refused},
};
use crate::{
    operation::{Failure, Key, Life, OperationId, Refused, State},
    store::contract::{Attempt, Cancellation, Created, LeaseId, ListFilter, Part},
};

pub(super) async fn r2_what_was_created_is_known_to_every_method_over_every_connection(stage: Stage) -> Checked {
    for round in 0..20 {
        let store = stage.either(round + 1);
        let new = async || -> Result<Attempt, Violation> {
            let draft = operation().under(stage.lease);
            let operation = draft.id;
            stage.either(round).create(draft.build()).await?;
            Ok(Attempt { operation, number: 1 })
        };
        hold!(store.read(new().await?.operation, Some(&owner()), Part::Status).await?.is_some(), "read knows it not");
        store.finish(new().await?, Arc::new(reply(StatusCode::OK, b""))).await?;
        store.report(new().await?, report(1)).await?;
        store.retry(new().await?, Failure::Panicked).await?;
        store.hand_back(new().await?).await?;
        let canceled = store.cancel(new().await?.operation, Some(&owner())).await?;
        hold!(matches!(canceled, Cancellation::Canceled(_)), "cancel knows it not: {canceled:?}");
        let id = new().await?.operation;
        let listed = list_all(&store, &owner(), ListFilter::default(), 100).await?;
        hold!(listed.contains(&id), "list knows it not");
    }
    Ok(())
}

pub(super) async fn r2_what_was_queued_can_be_claimed_over_every_connection(stage: Stage) -> Checked {
    for round in 0..10 {
        let draft = durable();
        let id = draft.id;
        stage.either(round).create(draft.build()).await?;
        let claimed = stage.either(round + 1).claim(stage.long_lease()?, 1).await?;
        equal("what was claimed", claimed.iter().map(|claimed| claimed.attempt.operation).collect(), vec![id])?;
    }
    Ok(())
}

pub(super) async fn a_new_operation_runs_unless_there_is_something_to_queue(stage: Stage) -> Checked {
    let draft = operation().under(stage.lease);
    let id = draft.id;
    let Created::New { at } = stage.store.create(draft.build()).await? else {
        return Err(Violation::new("a new operation was not created"));
    };
    let found = stage.read(id).await?;
    equal("its life", found.life, Life::RUNNING)?;
    equal("its id", found.id, id)?;
    equal("when it was created", found.created, at)?;
    hold!(found.created <= found.now, "it was created at {} and read at {}", found.created, found.now);
    hold!(found.end.is_none() && found.progress.is_none() && found.failed_attempts.is_empty(), "{found:?}");
    Ok(())
}

pub(super) async fn a_durable_operation_is_queued_unless_it_runs_at_once(stage: Stage) -> Checked {
    let queued = stage.create(durable()).await?;
    equal("without a lease", stage.read(queued).await?.life, Life::QUEUED)?;
    let running = stage.create(durable().under(stage.lease)).await?;
    equal("with a lease", stage.read(running).await?.life, Life::RUNNING)?;
    equal("what can be claimed", stage.claim().await?.attempt.operation, queued)
}

pub(super) async fn an_operation_without_a_lease_runs_while_the_store_lives(stage: Stage) -> Checked {
    let id = stage.create(operation()).await?;
    stage.pass(SHORT).await?;
    stage.sweep().await?;
    equal("its life", stage.read(id).await?.life, Life::RUNNING)?;
    stage.store.finish(Attempt { operation: id, number: 1 }, Arc::new(reply(StatusCode::OK, b"done"))).await?;
    equal("its state", stage.read(id).await?.life.state, State::Succeeded)
}

pub(super) async fn nothing_is_created_under_a_lease_that_is_over(stage: Stage) -> Checked {
    let over = stage.over(Vec::new()).await?;
    for (number, lease) in [(1, over), (3, LeaseId::NONE)] {
        for draft in [operation().keyed(number, 1), durable().keyed(number + 1, 2)] {
            let draft = draft.under(Some(lease));
            refused("create", stage.store.create(draft.clone().build()).await, Refused::LeaseOver)?;
            let found = stage.other.read(draft.id, Some(&owner()), Part::Status).await?;
            hold!(found.is_none(), "what was refused is there: {found:?}");
            stage.create(draft.again().under(stage.lease)).await?;
        }
    }
    Ok(())
}

pub(super) async fn a_key_is_looked_up_whatever_the_lease(stage: Stage) -> Checked {
    let over = stage.over(Vec::new()).await?;
    for (number, draft) in [(1, operation()), (2, durable())] {
        let draft = draft.keyed(number, 1).under(stage.lease);
        let id = stage.create(draft.clone()).await?;
        for lease in [over, LeaseId::NONE] {
            let lookup = || Draft { request: None, ..draft.again() }.under(Some(lease));
            expect_existing(&stage, lookup(), id).await?;
            let other = stage.store.create(lookup().keyed(number, 2).build()).await?;
            hold!(matches!(other, Created::KeyTaken), "expected that the key is taken, found {other:?}");
        }
    }
    Ok(())
}

/// Creates it over the other connection, and expects that it is this one already.
async fn expect_existing(stage: &Stage, draft: Draft, id: OperationId) -> Checked {
    let new = draft.id;
    match stage.other.create(draft.build()).await? {
        Created::Existing(found) => equal("what is there already", found.id, id)?,
        other => return Err(Violation::new(format!("expected the operation that exists, found {other:?}"))),
    }
    let created = stage.store.read(new, Some(&owner()), Part::Status).await?;
    hold!(created.is_none(), "an operation was created although its key was taken");
    Ok(())
}

pub(super) async fn the_same_request_under_the_same_key_is_the_same_operation(stage: Stage) -> Checked {
    let draft = operation().under(stage.lease).keyed(1, 1);
    let id = stage.create(draft.clone()).await?;
    expect_existing(&stage, draft.again(), id).await?;
    let attempt = Attempt { operation: id, number: 1 };
    stage.store.finish(attempt, Arc::new(reply(StatusCode::CREATED, b"made"))).await?;
    expect_existing(&stage, draft.again(), id).await?;
    let Created::Existing(found) = stage.store.create(draft.again().build()).await? else {
        return Err(Violation::new("the key of what has ended is free"));
    };
    equal("its state", found.life.state, State::Succeeded)?;
    let status = found.end.and_then(|end| end.reply.status_or_none());
    equal("its reply's status", status, Some(StatusCode::CREATED))
}

pub(super) async fn a_keyed_creation_that_is_asked_for_again_finds_itself(stage: Stage) -> Checked {
    let drafts = [operation().under(stage.lease), durable().under(stage.lease), durable()];
    for (number, draft) in (1..).zip(drafts) {
        let draft = draft.keyed(number, 1);
        let id = stage.create(draft.clone()).await?;
        let begun = stage.read(id).await?;
        stage.pass(SHORT).await?;
        for store in [&stage.store, &stage.other] {
            match store.create(draft.clone().build()).await? {
                Created::New { at } => equal("when it was created", at, begun.created)?,
                Created::Existing(found) => {
                    equal("what is there already", (found.id, found.created), (id, begun.created))?;
                }
                Created::KeyTaken => return Err(Violation::new("an operation was taken for another")),
            }
            equal("its life", stage.read(id).await?.life, begun.life)?;
        }
    }
    let listed = list_all(&stage.store, &owner(), ListFilter::default(), 100).await?;
    equal("how many there are", listed.len(), 3)
}

pub(super) async fn another_request_under_the_same_key_is_refused(stage: Stage) -> Checked {
    let draft = operation().under(stage.lease).keyed(1, 1);
    let id = stage.create(draft.clone()).await?;
    let other = draft.again().keyed(1, 2);
    let created = stage.other.create(other.clone().build()).await?;
    hold!(matches!(created, Created::KeyTaken), "expected that the key is taken, found {created:?}");
    hold!(stage.store.read(other.id, Some(&owner()), Part::Status).await?.is_none(), "it was created all the same");
    expect_existing(&stage, draft.again(), id).await
}

pub(super) async fn other_keys_and_none_are_other_operations(stage: Stage) -> Checked {
    let draft = operation().under(stage.lease).keyed(1, 1);
    stage.create(draft.clone()).await?;
    stage.create(draft.again().keyed(2, 1)).await?;
    // As a text, or as far as its first zero, it would be the same.
    let mut name = [1; 16];
    name[0] = 0;
    for last in [0xff, 0xfe, 0] {
        name[15] = last;
        stage.create(Draft { key: Some(Key { name, request: [0; 16] }), ..draft.again() }).await?;
    }
    for _ in 0..2 {
        stage.create(Draft { key: None, ..draft.again() }).await?;
    }
    Ok(())
}

pub(super) async fn a_key_is_free_again_once_its_operation_is_forgotten(stage: Stage) -> Checked {
    let draft = operation().under(stage.lease).keyed(1, 1);
    for round in 0..3 {
        let id = stage.create(draft.again().keyed(1, round)).await?;
        stage.store.cancel(id, Some(&owner())).await?;
        expect_existing(&stage, draft.again().keyed(1, round), id).await?;
        hold!(stage.store.forget(id, Some(&owner())).await?, "what has ended was not forgotten");
    }
    Ok(())
}

pub(super) async fn a_key_is_free_again_once_its_operation_has_expired(stage: Stage) -> Checked {
    let draft = operation().under(stage.lease).keyed(1, 1).retention(SHORT);
    let first = stage.ended(draft.clone(), reply(StatusCode::OK, b"")).await?;
    stage.pass(SHORT).await?;
    let second = stage.create(draft.again().keyed(1, 2)).await?;
    stage.sweep().await?;
    expect_existing(&stage, draft.again().keyed(1, 2), second).await?;
    hold!(stage.other.read(first, Some(&owner()), Part::Status).await?.is_none(), "what has expired is known again");
    stage.store.cancel(second, Some(&owner())).await?;
    eventually("the second has expired, too", async || {
        stage.sweep().await?;
        Ok(stage.other.read(second, Some(&owner()), Part::Status).await?.is_none().then_some(()))
    })
    .await?;
    stage.create(draft.again().keyed(1, 3)).await.map(drop)
}
