//! Attempts and operations end: what has ended moves to a table of its own, fenced by state and attempt.

use std::collections::{BTreeMap, HashMap};

use sqlx::postgres::PgRow;

use super::{
    database::{LARGE, Way, admit},
    literal::{bytes, hex, id, ids, letters, numbers},
    reading::{Answer, Question, refusal},
    rows::{self, code_of, codes_of, end_of, finished, get, readable, terms_of},
    shared::{Batch, Shared},
    statement::Statement,
};
use crate::{
    operation::{Ending, Failure, OperationId, Owner, Reply, State, Step},
    store::{
        StoreError,
        contract::{Attempt, Cancellation, Change, Finished, Part},
    },
};

/// What follows a step called `gone`, which removes operations `v` of the live and says with what they end.
macro_rules! ended {
    ($steps:expr) => {
        concat!(
            $steps,
            ", kept AS (
    INSERT INTO {p}ended (id, created, ended, expires, terms, attempt, failures, status, state, failure, owner, key,
        reply, reported, fraction, message, failed_attempts)
    SELECT g.id, g.created, {now}, {now} + t.retention, g.terms, g.attempt, g.failures, g.status, g.ending, g.failure,
        g.owner, g.key, g.reply, g.reported, g.fraction, g.message, g.failed_attempts
    FROM gone g JOIN {p}terms t ON t.id = g.terms
    ON CONFLICT (id) DO NOTHING
)
SELECT id::text, ending::text AS state, failure::text, terms, attempt, {now} - created AS run_time,
    status::int2, ran, false AS queued FROM gone"
        )
    };
}

pub(super) const FINISH: Statement = Statement {
    label: "finish",
    template: FINISH_TEMPLATE,
    parts: &[("reply", "decode(a.reply, 'hex')")],
    arguments: &[
        ("ids", "uuid[]"),
        ("attempts", "int8[]"),
        ("endings", "text[]"),
        ("failures", "text[]"),
        ("statuses", "int8[]"),
        ("replies", "text[]"),
    ],
};

/// Where the reply is too large to be written into the statement.
const FINISH_LARGE: Statement = Statement { parts: &[("reply", "$1::bytea")], ..FINISH };

const FINISH_TEMPLATE: &str = ended!(
    "
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest({ids}, {attempts}, {endings}, {failures}, {statuses}, {replies})
        AS u(id, attempt, ending, failure, status, reply)
), gone AS (
    DELETE FROM {p}live v USING asked a
    WHERE v.id = a.id AND v.attempt = a.attempt AND v.state = 'r'
    RETURNING v.state = 'r' AS ran, v.id, v.created, v.terms, v.attempt, v.failures, v.owner, v.key, v.reported, v.fraction, v.message,
        v.failed_attempts, a.ending::\"char\" AS ending, a.failure::\"char\" AS failure, a.status, {reply} AS reply
)"
);

const CANCEL: &str = ended!(
    "
WITH gone AS (
    DELETE FROM {p}live v WHERE v.id = {id} AND v.owner IS NOT DISTINCT FROM {owner}
    RETURNING v.state = 'r' AS ran, v.id, v.created, v.terms, v.attempt, v.failures, v.owner, v.key, v.reported, v.fraction, v.message,
        v.failed_attempts, 'c'::\"char\" AS ending, NULL::\"char\" AS failure, NULL::int2 AS status,
        NULL::bytea AS reply
)"
);

/// `asked` are attempts and why they failed. Those that are left go back to rest; the last of an operation ends it.
const RETRY: &str = concat!(
    ended!(
        "
WITH asked AS MATERIALIZED ({asked}), back AS (
    UPDATE {p}live v SET state = CASE WHEN t.backoff > 0 THEN 'w' ELSE 'q' END::\"char\", lease = NULL,
        due = CASE WHEN t.backoff > 0 THEN {now} + least(t.backoff * (1::int8 << least(v.failures, 30)), 3600000) END,
        failures = v.failures + 1, failed_attempts = {failed}
    FROM asked a, {p}terms t
    WHERE v.id = a.id AND v.attempt = a.attempt AND v.state = 'r' AND t.id = v.terms
        AND v.request IS NOT NULL AND v.failures + 1 < t.max_attempts
    RETURNING v.id, v.terms, v.attempt
), gone AS (
    DELETE FROM {p}live v USING asked a, {p}terms t
    WHERE v.id = a.id AND v.attempt = a.attempt AND v.state = 'r' AND t.id = v.terms
        AND (v.request IS NULL OR v.failures + 1 >= t.max_attempts)
    RETURNING v.state = 'r' AS ran, v.id, v.created, v.terms, v.attempt, v.failures + 1 AS failures, v.owner, v.key, v.reported, v.fraction,
        v.message, {failed} AS failed_attempts, 'f'::\"char\" AS ending, a.failure, NULL::int2 AS status,
        NULL::bytea AS reply
)"
    ),
    "
UNION ALL SELECT id::text, 'q', NULL, terms, attempt, 0, NULL::int2, true, true FROM back"
);

/// One more failed attempt: its number, its failure, the time.
pub(super) const FAILED_ATTEMPT: &str = "coalesce(v.failed_attempts, '') || int4send(v.attempt) \
    || decode(to_hex(ascii(a.failure::text)), 'hex') || int8send({now})";

const HAND_BACK: &str = concat!(
    ended!(
        "
WITH back AS (
    UPDATE {p}live v SET state = 'q', lease = NULL, due = NULL
    WHERE v.id = {id} AND v.attempt = {attempt} AND v.state = 'r' AND v.request IS NOT NULL
    RETURNING v.id, v.terms, v.attempt
), gone AS (
    DELETE FROM {p}live v
    WHERE v.id = {id} AND v.attempt = {attempt} AND v.state = 'r' AND v.request IS NULL
    RETURNING v.state = 'r' AS ran, v.id, v.created, v.terms, v.attempt, v.failures, v.owner, v.key, v.reported, v.fraction, v.message,
        v.failed_attempts, 'f'::\"char\" AS ending, 'i'::\"char\" AS failure, NULL::int2 AS status,
        NULL::bytea AS reply
)"
    ),
    "
UNION ALL SELECT id::text, 'q', NULL, terms, attempt, 0, NULL::int2, true, true FROM back"
);

/// Attempts that have run for too long.
pub(super) const OVERDUE: &str = ended!(
    "
WITH gone AS (
    DELETE FROM {p}live v WHERE v.state = 'r' AND v.due <= {now} AND v.id = ANY (ARRAY(
        SELECT id FROM {p}live WHERE state = 'r' AND due <= {now} ORDER BY due LIMIT {limit} FOR UPDATE SKIP LOCKED))
    RETURNING v.state = 'r' AS ran, v.id, v.created, v.terms, v.attempt, v.failures, v.owner, v.key, v.reported, v.fraction, v.message,
        v.failed_attempts, 'f'::\"char\" AS ending, 't'::\"char\" AS failure, NULL::int2 AS status,
        NULL::bytea AS reply
)"
);

const FORGET: &str = "
WITH gone AS (
    DELETE FROM {p}ended WHERE id = {id} AND owner IS NOT DISTINCT FROM {owner} AND expires > {now} RETURNING id, key
), freed AS (
    DELETE FROM {p}keys k USING gone g WHERE k.name = g.key AND k.operation = g.id
)
SELECT id::text FROM gone";

/// A reply as it is written.
#[derive(Debug)]
pub(super) struct Outcome {
    attempt: Attempt,
    state: State,
    failure: Option<Failure>,
    status: Option<u16>,
    record: Option<Vec<u8>>,
}

impl Outcome {
    pub(super) fn new(attempt: Attempt, reply: &Reply) -> Result<Self, StoreError> {
        admit(reply.size())?;
        let failure = match reply.ending() {
            Ending::Failed(failure) => Some(failure),
            Ending::Replied | Ending::Canceled => None,
        };
        let status = reply.status_or_none().map(|status| status.as_u16());
        let record = (status.is_some() || reply.size() > 0).then(|| reply.to_record());
        Ok(Self { attempt, state: reply.state(), failure, status, record })
    }

    pub(super) fn is_large(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.len() > LARGE)
    }
}

impl Batch for Outcome {
    type Answer = Finished;

    async fn write(shared: &Shared, outcomes: Vec<Self>) -> Result<Vec<Result<Finished, StoreError>>, StoreError> {
        let asked: Vec<_> = outcomes.iter().map(|outcome| (outcome.attempt, outcome.state)).collect();
        // In the order of their names, so that all replicas lock them in the same; of two for one attempt, the first.
        let mut first = BTreeMap::new();
        for outcome in outcomes {
            first.entry(outcome.attempt).or_insert(outcome);
        }
        let announcement = shared.announcer.take(first.keys().map(|attempt| Change::Operation(attempt.operation)));
        let done = write(shared, announcement.way(), &first.into_values().collect::<Vec<_>>()).await;
        let mut done = done.inspect_err(|_| shared.announcer.put_back(announcement))?;
        let mut answers = Vec::with_capacity(asked.len());
        for (attempt, end) in asked {
            answers.push(match done.remove(&attempt) {
                Some(finished) => Ok(finished),
                None => Err(refusal(shared, attempt.operation, Step::Finish { attempt: attempt.number, end }).await),
            });
        }
        Ok(answers)
    }
}

/// Writes one that is too large to be written with others.
pub(super) async fn finish_large(shared: &Shared, outcome: Outcome) -> Result<Finished, StoreError> {
    let (attempt, end) = (outcome.attempt, outcome.state);
    let way = Way::Large(outcome.record.as_deref());
    match write(shared, way, std::slice::from_ref(&outcome)).await?.remove(&attempt) {
        Some(finished) => Ok(finished),
        None => Err(refusal(shared, attempt.operation, Step::Finish { attempt: attempt.number, end }).await),
    }
}

async fn write(shared: &Shared, way: Way<'_>, outcomes: &[Outcome]) -> Result<HashMap<Attempt, Finished>, StoreError> {
    let written = |outcome: &'_ Outcome| outcome.record.clone().filter(|_| !matches!(way, Way::Large(_)));
    let arguments = [
        &*ids(outcomes.iter().map(|outcome| outcome.attempt.operation)),
        &numbers(outcomes.iter().map(|outcome| Some(outcome.attempt.number.into()))),
        &letters(outcomes.iter().map(|outcome| codes_of(outcome.state).chars().next())),
        &letters(outcomes.iter().map(|outcome| outcome.failure.map(code_of))),
        &numbers(outcomes.iter().map(|outcome| outcome.status.map(i64::from))),
        &hex(outcomes.iter().map(written)),
    ];
    let statement = if matches!(way, Way::Large(_)) { &FINISH_LARGE } else { &FINISH };
    let rows = shared.database.often(way, statement, &arguments).await?;
    Ok(finished(shared, &rows).await?.into_iter().collect())
}

pub(super) async fn cancel(
    shared: &Shared,
    operation: OperationId,
    asker: Option<&Owner>,
) -> Result<Cancellation, StoreError> {
    let owner = bytes(asker.map(|owner| owner.as_str().as_bytes()));
    loop {
        let rows = shared.database.rows(CANCEL, &[("id", &id(operation)), ("owner", &owner)]).await?;
        if let Some((_, canceled)) = finished(shared, &rows).await?.pop() {
            return Ok(Cancellation::Canceled(canceled));
        }
        let question = Question { id: operation, owner: asker.cloned(), part: Part::Status };
        match Question::write(shared, vec![question]).await?.pop().transpose()? {
            Some(Answer::Found(Some(found))) if found.end.is_some() => return Ok(Cancellation::AlreadyEnded),
            // It was created in between.
            Some(Answer::Found(Some(_))) => {}
            _ => return Ok(Cancellation::Unknown),
        }
    }
}

pub(super) async fn forget(shared: &Shared, operation: OperationId, owner: Option<&Owner>) -> Result<bool, StoreError> {
    let owner = bytes(owner.map(|owner| owner.as_str().as_bytes()));
    let rows = shared.database.rows(FORGET, &[("id", &id(operation)), ("owner", &owner)]).await?;
    Ok(!rows.is_empty())
}

pub(super) async fn retry(shared: &Shared, attempt: Attempt, failure: Failure) -> Result<Option<Finished>, StoreError> {
    let asked = format!(
        "SELECT {} AS id, {} AS attempt, '{}'::\"char\" AS failure",
        id(attempt.operation),
        attempt.number,
        code_of(failure)
    );
    let step = Step::Retry { attempt: attempt.number, max_attempts: 0 };
    match retry_all(shared, &asked).await?.pop().flatten() {
        Some(Retried::Ended(_, finished)) => Ok(Some(finished)),
        Some(Retried::Queued(_)) => Ok(None),
        None => Err(refusal(shared, attempt.operation, step).await),
    }
}

/// What came of an attempt that failed.
pub(super) enum Retried {
    Queued(OperationId),
    Ended(OperationId, Finished),
}

/// Retries the attempts that this selects: `id`, `attempt`, `failure`. Of what cannot be read it is not said what came.
pub(super) async fn retry_all(shared: &Shared, asked: &str) -> Result<Vec<Option<Retried>>, StoreError> {
    let failed = shared.database.render(FAILED_ATTEMPT, &[]);
    retried(shared, &shared.database.rows(RETRY, &[("asked", asked), ("failed", &failed)]).await?).await
}

pub(super) async fn hand_back(shared: &Shared, attempt: Attempt) -> Result<Option<Finished>, StoreError> {
    let values = [("id", &*id(attempt.operation)), ("attempt", &attempt.number.to_string())];
    match retried(shared, &shared.database.rows(HAND_BACK, &values).await?).await?.pop().flatten() {
        Some(Retried::Ended(_, finished)) => Ok(Some(finished)),
        Some(Retried::Queued(_)) => Ok(None),
        None => Err(refusal(shared, attempt.operation, Step::HandBack { attempt: attempt.number }).await),
    }
}

async fn retried(shared: &Shared, rows: &[PgRow]) -> Result<Vec<Option<Retried>>, StoreError> {
    let terms = terms_of(shared, rows).await?;
    let mut retried = Vec::with_capacity(rows.len());
    for row in rows {
        retried.push(match get(row, "queued")? {
            true => Some(Retried::Queued(rows::id(row)?)),
            false => readable(end_of(row, &terms)).map(|(attempt, end)| Retried::Ended(attempt.operation, end)),
        });
    }
    Ok(retried)
}
