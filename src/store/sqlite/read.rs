//! What is known of operations.

use sqlx::SqlitePool;

use super::{
    super::{
        StoreError,
        contract::{Counts, ListFilter, Listed, Part, Snapshot},
    },
    database::unavailable,
    kept::{Kept, bytes, get, id, limit, millis, name, select, state_number, timestamp},
};
use crate::operation::{OperationId, Owner, Timestamp};

/// So many operations are looked at for one part of a list, however few of them are in the state that is asked for.
const LOOKED_AT: usize = 1_000;

pub(super) async fn read(
    readers: &SqlitePool,
    id: OperationId,
    owner: Option<Owner>,
    part: Part,
) -> Result<Option<Snapshot>, StoreError> {
    let question = match part {
        Part::Status => select!("WHERE id = ? AND owner IS ? AND (state < 2 OR due > now)"),
        Part::Reply => select!(
            "(SELECT record FROM replies WHERE operation = number)",
            "WHERE id = ? AND owner IS ? AND (state < 2 OR due > now)"
        ),
    };
    let question = sqlx::query(question).bind(bytes(id)).bind(name(owner.as_ref()));
    let row = question.fetch_optional(readers).await.map_err(unavailable)?;
    row.map(|row| Ok(Kept::of(&row)?.snapshot)).transpose()
}

/// Leaves out what cannot be read.
pub(super) async fn list(
    readers: &SqlitePool,
    owner: &Owner,
    filter: ListFilter,
    most: usize,
) -> Result<Listed, StoreError> {
    let after = filter.after.map_or((i64::MAX, vec![0xff; 17]), |(created, id)| (millis(created), bytes(id)));
    let edge = edge(readers, owner, &after).await?;
    let first = edge.as_ref().map_or((0, Vec::new()), |(created, id)| (millis(*created), bytes(*id)));
    let question = select!(
        "WHERE owner = ?1 AND (created, id) < (?2, ?3) AND (created, id) >= (?4, ?5) \
         AND state = ifnull(?6, state) AND (state < 2 OR due > now) ORDER BY created DESC, id DESC LIMIT ?7"
    );
    let rows = sqlx::query(question)
        .bind(name(Some(owner)))
        .bind(after.0)
        .bind(after.1)
        .bind(first.0)
        .bind(first.1)
        .bind(filter.state.map(state_number))
        .bind(limit(most.saturating_add(1)))
        .fetch_all(readers)
        .await
        .map_err(unavailable)?;
    let shown = rows.get(..most).unwrap_or(&rows);
    let next = match shown.last().filter(|_| rows.len() > most) {
        Some(last) => Some((timestamp(get(last, 3)?), id(last, 1)?)),
        None => edge,
    };
    let operations = shown.iter().filter_map(|row| Kept::of(row).ok()).map(|kept| kept.snapshot).collect();
    Ok(Listed { operations, next })
}

/// The last operation that is looked at, where there are so many.
async fn edge(
    readers: &SqlitePool,
    owner: &Owner,
    after: &(i64, Vec<u8>),
) -> Result<Option<(Timestamp, OperationId)>, StoreError> {
    let question = sqlx::query(
        "SELECT created, id FROM operations WHERE owner = ? AND (created, id) < (?, ?) \
         ORDER BY created DESC, id DESC LIMIT 1 OFFSET ?",
    );
    let question =
        question.bind(name(Some(owner))).bind(after.0).bind(after.1.clone()).bind(limit(LOOKED_AT.saturating_sub(1)));
    let row = question.fetch_optional(readers).await.map_err(unavailable)?;
    row.map(|row| Ok((timestamp(get(&row, 0)?), id(&row, 1)?))).transpose()
}

pub(super) async fn counts(readers: &SqlitePool) -> Result<Counts, StoreError> {
    let question = sqlx::query("SELECT operations, (SELECT sum(bytes) FROM counts) FROM counts ORDER BY state");
    let rows = question.fetch_all(readers).await.map_err(unavailable)?;
    let counts = rows.iter().map(|row| get::<i64>(row, 0).map(i64::cast_unsigned)).collect::<Result<Vec<_>, _>>()?;
    let bytes = rows.first().map_or(Ok(0), |row| get::<i64>(row, 1))?;
    let [queued, running, succeeded, failed, canceled] = counts[..] else { return Ok(Counts::default()) };
    Ok(Counts { queued, running, succeeded, failed, canceled, reply_bytes: bytes.cast_unsigned() })
}
