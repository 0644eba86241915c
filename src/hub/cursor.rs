//! Where a page of a list ends, as the text that asks for the next one.

use crate::{
    http::grammar,
    operation::{OperationId, Timestamp},
};

/// The place in the list after which to go on.
pub(crate) fn write((created, id): (Timestamp, OperationId)) -> String {
    format!("{}.{id}", created.as_millis())
}

pub(crate) fn parse(cursor: &str) -> Option<(Timestamp, OperationId)> {
    let (created, id) = cursor.split_once('.')?;
    Some((Timestamp::from_millis(grammar::digits(created.bytes())?), id.parse().ok()?))
}
