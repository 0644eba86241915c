//! Lists: an owner's operations, newest first, page by page.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    stage::{SHORT, Stage, durable, operation, owner, reply, stranger},
    violation::{Checked, Violation, equal, hold},
};
use crate::{
    operation::{OperationId, Owner, State},
    store::contract::{Cancellation, ListFilter, Store},
};

/// The ids on all pages, in their order.
pub(super) async fn list_all(
    store: &Arc<dyn Store>,
    owner: &Owner,
    mut filter: ListFilter,
    limit: usize,
) -> Result<Vec<OperationId>, Violation> {
    let mut ids = Vec::new();
    let mut last = None;
    for _ in 0..1_000 {
        let page = store.list(owner, filter, limit).await?;
        hold!(page.operations.len() <= limit, "{} on a page of {limit}", page.operations.len());
        for listed in page.operations {
            hold!(last.is_none_or(|last| listed.created <= last), "{} does not stand in its order", listed.id);
            last = Some(listed.created);
            ids.push(listed.id);
        }
        match page.next {
            None => return Ok(ids),
            next => filter.after = next,
        }
    }
    Err(Violation::new("the list has no last page"))
}

pub(super) async fn a_list_has_all_of_its_owners_operations_newest_first(stage: Stage) -> Checked {
    let mut ids = Vec::new();
    for _ in 0..7 {
        stage.running(operation().owned_by(stranger())).await?;
        ids.push(stage.running(operation()).await?.operation);
        stage.pass(Duration::from_millis(2)).await?;
    }
    ids.reverse();
    for limit in [1, 2, 3, 7, 100] {
        let listed = list_all(&stage.other, &owner(), ListFilter::default(), limit).await?;
        equal(&format!("the list in pages of {limit}"), listed, ids.clone())?;
    }
    equal("a strange list", list_all(&stage.other, &Owner::new("eve"), ListFilter::default(), 9).await?, Vec::new())
}

pub(super) async fn a_list_loses_and_repeats_nothing_while_others_come_and_go(stage: Stage) -> Checked {
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(stage.running(operation()).await?.operation);
    }
    let mut listed = Vec::new();
    let mut filter = ListFilter::default();
    for _ in 0..100 {
        let page = stage.other.list(&owner(), filter, 2).await?;
        for found in page.operations {
            // What the next page begins after is forgotten meanwhile.
            let canceled = stage.store.cancel(found.id, Some(&owner())).await?;
            hold!(matches!(canceled, Cancellation::Canceled(_)), "a list has what is not there: {canceled:?}");
            stage.store.forget(found.id, Some(&owner())).await?;
            listed.push(found.id);
        }
        stage.running(operation()).await?;
        filter.after = page.next;
        if page.next.is_none() {
            break;
        }
    }
    hold!(filter.after.is_none(), "the list has no last page");
    listed.retain(|id| ids.contains(id));
    listed.sort();
    ids.sort();
    equal("what was listed of what was there at first", listed, ids)
}

pub(super) async fn a_list_can_be_of_one_state_only(stage: Stage) -> Checked {
    let mut states = vec![
        (State::Running, Vec::new()),
        (State::Succeeded, Vec::new()),
        (State::Failed, Vec::new()),
        (State::Canceled, Vec::new()),
    ];
    for _ in 0..4 {
        states[0].1.push(stage.running(operation()).await?.operation);
        states[1].1.push(stage.ended(operation(), reply(StatusCode::OK, b"")).await?);
        states[2].1.push(stage.ended(operation(), reply(StatusCode::CONFLICT, b"")).await?);
        let canceled = stage.running(operation()).await?.operation;
        stage.store.cancel(canceled, Some(&owner())).await?;
        states[3].1.push(canceled);
    }
    let mut queued = Vec::new();
    if stage.lease.is_some() {
        queued.push(stage.create(durable()).await?);
    }
    states.push((State::Queued, queued));
    for (state, mut ids) in states {
        for limit in [1, 3, 50] {
            let filter = ListFilter { state: Some(state), after: None };
            let mut listed = list_all(&stage.other, &owner(), filter, limit).await?;
            listed.sort();
            ids.sort();
            equal(&format!("what is {state}, in pages of {limit}"), listed, ids.clone())?;
        }
    }
    Ok(())
}

pub(super) async fn a_list_tells_how_each_has_ended(stage: Stage) -> Checked {
    let id = stage.ended(operation(), reply(StatusCode::CONFLICT, b"because")).await?;
    let listed = stage.other.list(&owner(), ListFilter::default(), 10).await?;
    hold!(listed.next.is_none() || listed.operations.len() <= 1, "{listed:?}");
    let found = listed.operations.first().ok_or_else(|| Violation::new("it is not listed"))?;
    let status = found.end.as_ref().map(|end| (end.reply.state(), end.reply.status_or_none()));
    equal("how it ended", status, Some((State::Failed, Some(StatusCode::CONFLICT))))?;
    let read = stage.read(id).await?;
    equal("its life", (found.id, found.life, found.created), (id, read.life, read.created))
}

pub(super) async fn a_list_has_nothing_that_has_expired(stage: Stage) -> Checked {
    stage.ended(operation().retention(SHORT), reply(StatusCode::OK, b"")).await?;
    let kept = stage.ended(operation(), reply(StatusCode::OK, b"")).await?;
    stage.pass(SHORT).await?;
    equal("the list", list_all(&stage.other, &owner(), ListFilter::default(), 10).await?, vec![kept])
}
