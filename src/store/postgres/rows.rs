//! What rows say: operations, as they are read and as they have ended.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use http::StatusCode;
use sqlx::{Row, postgres::PgRow};

use super::{Shared, database::unreadable};
use crate::{
    operation::{Ending, Failure, Life, OperationId, Owner, Progress, Reply, Report, State, Timestamp},
    policy::Terms,
    store::{
        StoreError,
        contract::{Attempt, End, FailedAttempt, Finished, Snapshot},
    },
};

/// The columns of a [`Snapshot`] and its owner, from either table: `{where}` says of which operations, `{reply}` what
/// of the reply is wanted.
pub(super) const OPERATIONS: &str = "
SELECT v.id, v.created, v.terms, v.state, v.attempt, v.failures, v.reported, v.fraction, v.message, v.failed_attempts,
    v.owner, NULL::int8 AS ended, NULL::int2 AS status, NULL::\"char\" AS failure, NULL::bytea AS reply, 0 AS size
FROM {p}live v WHERE {where} {live}
UNION ALL
SELECT v.id, v.created, v.terms, v.state, v.attempt, v.failures, v.reported, v.fraction, v.message, v.failed_attempts,
    v.owner, v.ended, v.status, v.failure, {reply} AS reply, coalesce(octet_length(v.reply), 0) AS size
FROM {p}ended v WHERE {where} AND v.expires > {now} {ended}";

/// What [`snapshots`] reads of a row `o` of [`OPERATIONS`].
pub(super) const SNAPSHOT: &str = "o.id::text, o.created, o.terms, o.state::text, o.attempt, o.failures, o.reported, \
    o.fraction, o.message, o.failed_attempts, o.owner, o.ended, o.status, o.failure::text, o.reply, o.size, {now} AS now";

/// The operations of these rows, or why one of them cannot be read.
pub(super) async fn snapshots(
    shared: &Shared,
    rows: &[PgRow],
) -> Result<Vec<Result<Snapshot, StoreError>>, StoreError> {
    let terms = terms_of(shared, rows).await?;
    Ok(rows.iter().map(|row| snapshot(row, &terms)).collect())
}

/// The ends of the operations of these rows, in their order. What cannot be read is left out.
pub(super) async fn finished(shared: &Shared, rows: &[PgRow]) -> Result<Vec<(Attempt, Finished)>, StoreError> {
    let terms = terms_of(shared, rows).await?;
    Ok(rows.iter().filter_map(|row| readable(end_of(row, &terms))).collect())
}

/// How the operation of this row has ended.
pub(super) fn end_of(row: &PgRow, terms: &HashMap<i32, Arc<Terms>>) -> Result<(Attempt, Finished), StoreError> {
    let finished = Finished {
        state: state(get(row, "state")?)?,
        failure: get::<Option<&str>>(row, "failure")?.map(failure).transpose()?,
        status: status(row)?,
        terms: known(terms, get(row, "terms")?)?,
        run_time: Duration::from_millis(get::<i64>(row, "run_time")?.unsigned_abs()),
        ran: get(row, "ran")?,
    };
    Ok((attempt(row)?, finished))
}

/// What could be read; the rest is no reason to go without it.
pub(super) fn readable<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| {
        tracing::warn!(error = error as &dyn Error, "an operation cannot be read by this release");
    })
    .ok()
}

/// The terms of these rows, as far as they can be read.
pub(super) async fn terms_of(shared: &Shared, rows: &[PgRow]) -> Result<HashMap<i32, Arc<Terms>>, StoreError> {
    let numbers = rows.iter().map(|row| get(row, "terms")).collect::<Result<Vec<_>, _>>()?;
    shared.terms.load(&shared.database, numbers).await
}

pub(super) fn known(terms: &HashMap<i32, Arc<Terms>>, number: i32) -> Result<Arc<Terms>, StoreError> {
    terms.get(&number).cloned().ok_or_else(|| unreadable(NoSuch("terms")))
}

fn snapshot(row: &PgRow, terms: &HashMap<i32, Arc<Terms>>) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        id: id(row)?,
        created: time(get(row, "created")?),
        now: time(get(row, "now")?),
        terms: known(terms, get(row, "terms")?)?,
        life: life(row)?,
        progress: progress(row)?,
        failed_attempts: failed_attempts(get::<Option<Vec<u8>>>(row, "failed_attempts")?.as_deref())?,
        end: end(row)?.map(Arc::new),
    })
}

pub(super) fn life(row: &PgRow) -> Result<Life, StoreError> {
    let state = state(get(row, "state")?)?;
    Ok(Life { state, attempt: number(row, "attempt")?, failures: number(row, "failures")? })
}

fn status(row: &PgRow) -> Result<Option<StatusCode>, StoreError> {
    let status = get::<Option<i16>>(row, "status")?;
    Ok(status.and_then(|status| StatusCode::from_u16(status.unsigned_abs()).ok()))
}

fn end(row: &PgRow) -> Result<Option<End>, StoreError> {
    let Some(at) = get::<Option<i64>>(row, "ended")?.map(time) else { return Ok(None) };
    let reply = get::<Option<Vec<u8>>>(row, "reply")?.map(|record| Reply::from_record(&record)).transpose();
    let reply = reply.map_err(unreadable)?;
    let status = status(row)?;
    let failure = get::<Option<&str>>(row, "failure")?.map(failure).transpose()?;
    let ending = match (state(get(row, "state")?)?, failure) {
        (State::Canceled, _) => Ending::Canceled,
        (_, Some(failure)) => Ending::Failed(failure),
        (_, None) => Ending::Replied,
    };
    Ok(Some(End { reply: reply.unwrap_or_else(|| Reply::head(ending, status)), at }))
}

fn progress(row: &PgRow) -> Result<Option<Report>, StoreError> {
    let Some(number) = get::<Option<i64>>(row, "reported")? else { return Ok(None) };
    let fraction = f64::from_bits(get::<i64>(row, "fraction")? as u64);
    let message = String::from_utf8(get(row, "message")?).map_err(unreadable)?;
    Ok(Some(Report { number: number.unsigned_abs(), progress: Progress::new(fraction).message(message) }))
}

/// Attempts that failed, as [`FAILED_ATTEMPT`](super::ending::FAILED_ATTEMPT) writes them: number, failure, time.
fn failed_attempts(packed: Option<&[u8]>) -> Result<Vec<FailedAttempt>, StoreError> {
    let mut attempts = Vec::new();
    let mut rest = packed.unwrap_or_default();
    while let Some((number, [code, at @ ..])) = rest.split_first_chunk() {
        let Some((at, next)) = at.split_first_chunk() else { break };
        let (code, at) = ([*code], i64::from_be_bytes(*at));
        let code = str::from_utf8(&code).map_err(unreadable)?;
        attempts.push(FailedAttempt { number: u32::from_be_bytes(*number), failure: failure(code)?, at: time(at) });
        rest = next;
    }
    match rest {
        [] => Ok(attempts),
        _ => Err(unreadable(NoSuch("failed attempts"))),
    }
}

pub(super) fn owner(row: &PgRow) -> Result<Option<Owner>, StoreError> {
    let owner = get::<Option<Vec<u8>>>(row, "owner")?.map(String::from_utf8).transpose().map_err(unreadable)?;
    Ok(owner.map(Owner::new))
}

pub(super) fn id(row: &PgRow) -> Result<OperationId, StoreError> {
    get::<&str>(row, "id")?.parse().map_err(unreadable)
}

pub(super) fn attempt(row: &PgRow) -> Result<Attempt, StoreError> {
    Ok(Attempt { operation: id(row)?, number: number(row, "attempt")? })
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis.unsigned_abs())
}

pub(super) fn number(row: &PgRow, column: &str) -> Result<u32, StoreError> {
    get::<i32>(row, column).map(i32::unsigned_abs)
}

pub(super) fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(unreadable)
}

pub(super) fn state(code: &str) -> Result<State, StoreError> {
    match code {
        "w" | "q" => Ok(State::Queued),
        "r" => Ok(State::Running),
        "s" => Ok(State::Succeeded),
        "f" => Ok(State::Failed),
        "c" => Ok(State::Canceled),
        _ => Err(unreadable(NoSuch("state"))),
    }
}

/// The states of the tables that are this one.
pub(super) const fn codes_of(state: State) -> &'static str {
    match state {
        State::Queued => "qw",
        State::Running => "r",
        State::Succeeded => "s",
        State::Failed => "f",
        State::Canceled => "c",
    }
}

fn failure(code: &str) -> Result<Failure, StoreError> {
    match code {
        "p" => Ok(Failure::Panicked),
        "s" => Ok(Failure::ServiceError),
        "t" => Ok(Failure::TimedOut),
        "r" => Ok(Failure::ReplyTooLarge),
        "i" => Ok(Failure::Interrupted),
        "l" => Ok(Failure::Lost),
        _ => Err(unreadable(NoSuch("failure"))),
    }
}

pub(super) const fn code_of(failure: Failure) -> char {
    match failure {
        Failure::Panicked => 'p',
        Failure::ServiceError => 's',
        Failure::TimedOut => 't',
        Failure::ReplyTooLarge => 'r',
        Failure::Interrupted => 'i',
        Failure::Lost => 'l',
    }
}

/// A row does not say what it should.
#[derive(Debug, thiserror::Error)]
#[error("not {0} that this release knows")]
struct NoSuch(&'static str);
