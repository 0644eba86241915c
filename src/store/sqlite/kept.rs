//! Operations as rows.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::{Decode, Row, Sqlite, Type, sqlite::SqliteRow};

use super::{
    super::{
        StoreError,
        contract::{End, FailedAttempt, Snapshot},
    },
    batch::Batch,
    rows::{self, Texts, parameters},
};
use crate::{
    operation::{
        Ending, Failure, Life, OperationId, Owner, Progress, Reply, Report, State, Timestamp,
        record::{self, RecordError},
    },
    policy::Terms,
};

/// The store's time, in SQL.
macro_rules! now {
    () => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"
    };
}
pub(super) use now;

/// Selects operations as [`Kept::of`] reads them, and one column more: the reply of what has ended, where it is wanted.
macro_rules! select {
    ($rest:literal) => {
        select!("NULL", $rest)
    };
    ($reply:literal, $rest:literal) => {
        concat!(
            "SELECT number, id, owner, created, state, attempt, failures, lane, terms, report, fraction, message, failed, \
             ended, failure, status, ",
            $crate::store::sqlite::kept::now!(),
            " AS now, ",
            $reply,
            " FROM operations ",
            $rest
        )
    };
}
pub(super) use select;

/// An operation and where it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) number: i64,
    pub(super) owner: Option<Owner>,
    /// Where it takes its turn, if it can be run again.
    pub(super) lane: Option<i64>,
    pub(super) snapshot: Snapshot,
}

impl Kept {
    /// What was [selected](select).
    pub(super) fn of(row: &SqliteRow) -> Result<Self, StoreError> {
        let state = state(get(row, 4)?)?;
        let snapshot = Snapshot {
            id: id(row, 1)?,
            created: timestamp(get(row, 3)?),
            now: timestamp(get(row, 16)?),
            terms: Arc::new(Terms::from_record(get(row, 8)?).map_err(unreadable)?),
            life: Life { state, attempt: count(get(row, 5)?)?, failures: count(get(row, 6)?)? },
            progress: progress(row)?,
            failed_attempts: get::<Option<&[u8]>>(row, 12)?.map_or(Ok(Vec::new()), read_failed)?,
            end: end(row, state)?,
        };
        let owner = get::<Option<String>>(row, 2)?.map(Owner::new);
        Ok(Self { number: get(row, 0)?, owner, lane: get(row, 7)?, snapshot })
    }
}

static FIND: LazyLock<Texts> = LazyLock::new(|| {
    let select = select!("WHERE (state < 2 OR due > ?) AND id IN ");
    Texts::new(|size| format!("{select} ({})", parameters(size, 1)))
});

impl Batch {
    /// Those of the operations that are still kept, as they are [selected](select).
    pub(super) async fn find(
        &mut self,
        operations: &[OperationId],
    ) -> Result<HashMap<OperationId, SqliteRow>, StoreError> {
        let mut found = HashMap::with_capacity(operations.len());
        for operations in operations.chunks(rows::LARGEST) {
            let find = FIND.about(operations.len()).bind(millis(self.now));
            let find = find.rows(1, operations.iter(), |statement, operation| statement.bind(bytes(*operation)));
            for row in self.all(find.bound()).await? {
                found.insert(id(&row, 1)?, row);
            }
        }
        Ok(found)
    }
}

/// Of which rows more is wanted than of others: the id alone.
pub(super) fn id(row: &SqliteRow, column: usize) -> Result<OperationId, StoreError> {
    let bytes = get::<&[u8]>(row, column)?;
    Ok(OperationId::from_bytes(bytes.try_into().map_err(unreadable)?))
}

fn progress(row: &SqliteRow) -> Result<Option<Report>, StoreError> {
    let Some(number) = get::<Option<i64>>(row, 9)? else { return Ok(None) };
    let progress = Progress::new(get(row, 10)?).message(get::<String>(row, 11)?);
    Ok(Some(Report { number: number.cast_unsigned(), progress }))
}

fn end(row: &SqliteRow, state: State) -> Result<Option<Arc<End>>, StoreError> {
    let Some(at) = get::<Option<i64>>(row, 13)? else { return Ok(None) };
    let reply = match get::<Option<&[u8]>>(row, 17)? {
        Some(reply) => Reply::from_record(reply).map_err(unreadable)?,
        None => Reply::head(ending(get(row, 14)?, state)?, status(get(row, 15)?)?),
    };
    Ok(Some(Arc::new(End { reply, at: timestamp(at) })))
}

fn ending(failure: Option<&str>, state: State) -> Result<Ending, StoreError> {
    let Some(name) = failure else {
        return Ok(if state == State::Canceled { Ending::Canceled } else { Ending::Replied });
    };
    Failure::named(name).map(Ending::Failed).ok_or_else(|| unreadable(Unknown(format!("the failure {name}"))))
}

fn status(code: Option<i64>) -> Result<Option<StatusCode>, StoreError> {
    let status = |code| u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    code.map(|code| status(code).ok_or_else(|| unreadable(Unknown(format!("the status {code}"))))).transpose()
}

const STATES: [State; 5] = [State::Queued, State::Running, State::Succeeded, State::Failed, State::Canceled];

/// A state as it is kept.
pub(super) const fn state_number(state: State) -> i64 {
    match state {
        State::Queued => 0,
        State::Running => 1,
        State::Succeeded => 2,
        State::Failed => 3,
        State::Canceled => 4,
    }
}

fn state(number: i64) -> Result<State, StoreError> {
    let state = usize::try_from(number).ok().and_then(|number| STATES.get(number));
    state.copied().ok_or_else(|| unreadable(Unknown(format!("the state {number}"))))
}

/// The versions of how failed attempts are kept.
#[derive(Deserialize, Serialize)]
enum FailedRecord {
    V1(Vec<(u32, Failure, u64)>),
}

/// Failed attempts as they are kept.
pub(super) fn write_failed(attempts: &[FailedAttempt]) -> Vec<u8> {
    let attempts = attempts.iter().map(|failed| (failed.number, failed.failure, failed.at.as_millis()));
    record::write(&FailedRecord::V1(attempts.collect()), 0, |_| {})
}

fn read_failed(record: &[u8]) -> Result<Vec<FailedAttempt>, StoreError> {
    let (FailedRecord::V1(attempts), _) = record::read(record).map_err(unreadable::<RecordError>)?;
    let failed = |(number, failure, at)| FailedAttempt { number, failure, at: Timestamp::from_millis(at) };
    Ok(attempts.into_iter().map(failed).collect())
}

/// What this release does not know.
#[derive(Debug, thiserror::Error)]
#[error("{0} is unknown")]
struct Unknown(String);

pub(super) fn unreadable<E: std::error::Error + Send + Sync + 'static>(error: E) -> StoreError {
    StoreError::Unreadable(Box::new(error))
}

/// A column of a row.
pub(super) fn get<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
    row: &'r SqliteRow,
    column: usize,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(unreadable)
}

fn count(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(unreadable)
}

pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}

pub(super) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Something to be bound that SQLite counts with a sign.
pub(super) fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn bytes(id: OperationId) -> Vec<u8> {
    id.to_bytes().to_vec()
}

/// The owner as it is bound.
pub(super) fn name(owner: Option<&Owner>) -> Option<String> {
    owner.map(|owner| owner.as_str().to_owned())
}

pub(super) fn request(record: &[u8]) -> Result<crate::operation::StoredRequest, StoreError> {
    crate::operation::StoredRequest::from_record(record).map_err(unreadable)
}
