//! Queued operations are begun: owners and routes take turns.

use sqlx::postgres::PgRow;

use super::{
    Shared,
    database::{LARGE, Way, unreadable},
    ending::retry,
    literal::id,
    rows::{attempt, get, known, owner, terms_of, time},
    statement::Statement,
};
use crate::{
    operation::{Failure, Refused, StoredRequest},
    store::{
        StoreError,
        contract::{Attempt, Claimed, LeaseId},
    },
};

/// No more are begun at once, so that no statement is long.
const AT_ONCE: usize = 64;

/// Those that have rested enough are queued for the next time. Then the lanes are gone through one by one, from the one
/// after the last that had its turn, each by one look into the index. Those that others begin just now are passed over, so
/// a few more are looked at, in the order of their turns; they are found by their place, so that no statistics can make a
/// scan of the queue of it.
pub(super) const CLAIM: Statement = Statement {
    label: "claim",
    template: "
WITH RECURSIVE held AS (
    SELECT FROM {p}leases WHERE id = {lease} AND until > {now}
), rested AS (
    UPDATE {p}live SET state = 'q', due = NULL WHERE state = 'w' AND id = ANY (ARRAY(
        SELECT id FROM {p}live WHERE state = 'w' AND due <= {now} ORDER BY due LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING id
), after(lane, turn) AS (
    (SELECT lane, 1 FROM {p}live WHERE state = 'q' AND lane > {last} ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT next.lane, l.turn + 1 FROM after l CROSS JOIN LATERAL (
        SELECT lane FROM {p}live WHERE state = 'q' AND lane > l.lane ORDER BY lane LIMIT 1) next
    WHERE l.turn < {limit}
), before(lane, turn) AS (
    (SELECT lane, 1 + {limit} FROM {p}live WHERE state = 'q' AND lane <= {last} ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT next.lane, l.turn + 1 FROM before l CROSS JOIN LATERAL (
        SELECT lane FROM {p}live WHERE state = 'q' AND lane > l.lane AND lane <= {last} ORDER BY lane LIMIT 1) next
    WHERE l.turn < 2 * {limit}
), candidates AS MATERIALIZED (
    SELECT oldest.place, oldest.round, l.turn
    FROM (SELECT * FROM after UNION ALL SELECT * FROM before ORDER BY turn LIMIT {limit}) l
    CROSS JOIN LATERAL (
        SELECT ctid AS place, row_number() OVER (ORDER BY created, id) AS round FROM {p}live
        WHERE state = 'q' AND lane = l.lane ORDER BY created, id LIMIT {limit} + 32) oldest
), picks AS MATERIALIZED (
    SELECT * FROM candidates ORDER BY round, turn LIMIT {limit} + 32
), chosen AS MATERIALIZED (
    SELECT c.place, c.round, c.turn FROM picks c CROSS JOIN LATERAL (
        SELECT FROM {p}live v WHERE v.ctid = c.place AND v.state = 'q' FOR UPDATE SKIP LOCKED) locked
    WHERE EXISTS (SELECT FROM held) LIMIT {limit}
), begun AS (
    UPDATE {p}live v SET state = 'r', attempt = v.attempt + 1, lease = {lease}, due = {now} + t.max_run_time
    FROM chosen c, {p}terms t WHERE v.ctid = c.place AND v.state = 'q' AND t.id = v.terms
    RETURNING v.id, v.attempt, v.created, v.terms, v.owner, v.lane, c.round, c.turn,
        CASE WHEN octet_length(v.request) <= {large} THEN v.request END AS request
)
SELECT b.id::text, b.attempt, b.created, b.terms, b.owner, b.lane::text, b.request, EXISTS (SELECT FROM held) AS held,
    (SELECT count(*) FROM rested) AS rested, (SELECT count(*) FROM candidates) AS candidates
FROM (SELECT) one LEFT JOIN begun b ON true ORDER BY b.round, b.turn",
    parts: &[],
    arguments: &[("lease", "int8"), ("limit", "int8"), ("large", "int8"), ("last", "uuid")],
};

const REQUEST: &str = "SELECT request FROM {p}live WHERE id = {id} AND attempt = {attempt}";

pub(super) async fn claim(shared: &Shared, lease: LeaseId, limit: usize) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed = Vec::new();
    let mut last_lane = shared.last_lane.lock().await;
    // What has rested enough is there the second time, and what others have taken is not.
    for _ in 0..3 {
        let left = limit.min(AT_ONCE) - claimed.len();
        if left == 0 || !claim_once(shared, lease, left, &mut last_lane, &mut claimed).await? {
            break;
        }
    }
    Ok(claimed)
}

/// Whether there may be more at once.
async fn claim_once(
    shared: &Shared,
    lease: LeaseId,
    limit: usize,
    last_lane: &mut String,
    claimed: &mut Vec<Claimed>,
) -> Result<bool, StoreError> {
    let arguments = [&*lease.0.to_string(), &limit.to_string(), &LARGE.to_string(), last_lane];
    let rows = shared.database.often(Way::Plain, &CLAIM, &arguments).await?;
    let Some(first) = rows.first() else { return Ok(false) };
    if !get::<bool>(first, "held")? {
        return Err(Refused::LeaseOver.into());
    }
    if get::<Option<&str>>(first, "id")?.is_none() {
        return Ok(get::<i64>(first, "rested")? > 0 || get::<i64>(first, "candidates")? > 0);
    }
    let terms = terms_of(shared, &rows).await?;
    for row in &rows {
        let attempt = attempt(row)?;
        let Ok(request) = request(shared, row, attempt).await else {
            // That one cannot be run here is no reason to lose the others.
            retry(shared, attempt, Failure::Lost).await?;
            continue;
        };
        let (owner, terms) = (owner(row)?, known(&terms, get(row, "terms")?)?);
        claimed.push(Claimed { attempt, owner, terms, created: time(get(row, "created")?), request });
        *last_lane = format!("'{}'::uuid", get::<&str>(row, "lane")?);
    }
    Ok(get::<i64>(first, "rested")? > 0)
}

async fn request(shared: &Shared, row: &PgRow, attempt: Attempt) -> Result<StoredRequest, StoreError> {
    let record: Vec<u8> = match get(row, "request")? {
        Some(record) => record,
        None => {
            let values = [("id", &*id(attempt.operation)), ("attempt", &attempt.number.to_string())];
            let rows = shared.database.rows_by(Way::Large(None), REQUEST, &values).await?;
            get(rows.first().ok_or(Refused::Unknown)?, "request")?
        }
    };
    StoredRequest::from_record(&record).map_err(unreadable)
}
