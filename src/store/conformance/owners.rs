//! Whose an operation is: what is another's is unknown.

use std::sync::Arc;

use http::StatusCode;

use super::{
    stage::{Draft, Stage, operation, owner, reply, stranger},
    violation::{Checked, equal, hold},
};
use crate::{
    operation::{OperationId, Owner},
    store::contract::{Cancellation, ListFilter, Part, Store},
};

/// Expects that nobody can tell from the answers that there is such an operation.
pub(super) async fn expect_unknown(store: &Arc<dyn Store>, id: OperationId, owner: Option<&Owner>) -> Checked {
    for part in [Part::Status, Part::Reply] {
        let found = store.read(id, owner, part).await?;
        hold!(found.is_none(), "read knows it: {found:?}");
    }
    let canceled = store.cancel(id, owner).await?;
    hold!(matches!(canceled, Cancellation::Unknown), "cancel knows it: {canceled:?}");
    hold!(!store.forget(id, owner).await?, "forget knows it");
    if let Some(owner) = owner {
        let listed = store.list(owner, ListFilter::default(), 100).await?;
        hold!(listed.operations.iter().all(|listed| listed.id != id), "list knows it");
    }
    Ok(())
}

pub(super) async fn what_is_anothers_is_unknown(stage: Stage) -> Checked {
    let running = stage.running(operation()).await?.operation;
    let ended = stage.ended(operation(), reply(StatusCode::OK, b"secret")).await?;
    for id in [running, ended] {
        let before = stage.read(id).await?.life;
        for foreign in [Some(stranger()), Some(Owner::new("")), None] {
            expect_unknown(&stage.store, id, foreign.as_ref()).await?;
        }
        equal("a stranger changed it", stage.read(id).await?.life, before)?;
    }
    Ok(())
}

pub(super) async fn what_is_nobodys_is_for_whoever_is_nobody(stage: Stage) -> Checked {
    let draft = Draft { owner: None, ..operation() };
    let id = stage.ended(draft, reply(StatusCode::OK, b"")).await?;
    for foreign in [owner(), Owner::new("")] {
        expect_unknown(&stage.store, id, Some(&foreign)).await?;
    }
    hold!(stage.other.read(id, None, Part::Reply).await?.is_some(), "it is unknown to nobody, too");
    hold!(stage.other.forget(id, None).await?, "nobody can forget it");
    Ok(())
}

/// Names that some database or other takes for the same, cuts off, or chokes on.
fn odd_names() -> Vec<String> {
    let long = "long ".repeat(4_000);
    vec![
        String::new(),
        " ".to_owned(),
        "Ann".to_owned(),
        "ann ".to_owned(),
        "ann\0".to_owned(),
        "ann\0b".to_owned(),
        "\0".to_owned(),
        "%".to_owned(),
        "a_n".to_owned(),
        "ann'; --".to_owned(),
        "\"ann\"\\".to_owned(),
        "{ann}:*?[a]".to_owned(),
        "caf\u{e9}".to_owned(),
        "cafe\u{301}".to_owned(),
        "\u{1f469}\u{200d}\u{1f4bb}\u{feff}".to_owned(),
        "\r\n\t\u{7f}".to_owned(),
        format!("{long}1"),
        format!("{long}2"),
    ]
}

pub(super) async fn owners_are_told_apart_byte_by_byte(stage: Stage) -> Checked {
    let names = odd_names();
    let mut ids = Vec::new();
    for name in &names {
        ids.push(stage.running(operation().owned_by(name.as_str())).await?.operation);
    }
    for (name, id) in names.iter().zip(&ids) {
        let name = Owner::new(name.as_str());
        let listed = stage.other.list(&name, ListFilter::default(), 100).await?;
        let listed: Vec<_> = listed.operations.iter().map(|listed| listed.id).collect();
        equal(&format!("the list of {:.20?}", name.as_str()), listed, vec![*id])?;
        for other in &ids {
            let found = stage.other.read(*other, Some(&name), Part::Status).await?;
            equal(&format!("whether {:.20?} finds it", name.as_str()), found.is_some(), other == id)?;
        }
    }
    Ok(())
}
