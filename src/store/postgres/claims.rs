//! Queued operations are begun: owners and routes take turns.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::postgres::PgRow;
use tokio::time::sleep;

use super::{
    Shared,
    database::{LARGE, Way, unreadable},
    literal::{id, ids, numbers},
    rows::{attempt, get, known, owner, terms_of, time},
    statement::Statement,
    terms::millis,
};
use crate::{
    operation::{Refused, StoredRequest},
    policy::Terms,
    store::{
        StoreError,
        contract::{Attempt, Claimed, LeaseId},
        engine::Engine,
    },
};

/// No more are begun at once, so that no statement is long.
const AT_ONCE: usize = 64;

/// So often the queue is looked into for one claim: what has rested enough is there the second time, and what others
/// have taken is not.
const LOOKS: usize = 3;

/// How long what this release cannot read is left to others.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(60);

/// So many may be left to others in one claim.
const MOST_LEFT: usize = 100;

/// How often it is tried to let go of what was begun in an outage, and how long to wait before trying again.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_secs(1);

/// Those that have rested enough are queued for the next time. Then the lanes are gone through one by one, from the one
/// after the last that had its turn, each by one look into the index. Those that others begin just now are passed over,
/// so a few more are looked at, in the order of their turns; they are found by their place, so that no statistics can
/// make a scan of the queue of it.
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

/// What was begun and is not run here rests for so long. The attempt does not count.
const LEAVE: &str = "
UPDATE {p}live v SET state = 'w', lease = NULL, due = {now} + u.rest
FROM unnest({ids}, {attempts}, {rests}) AS u(id, attempt, rest)
WHERE v.id = u.id AND v.attempt = u.attempt AND v.state = 'r'";

/// Attempts that are not run here, and how long they rest.
type Left = Vec<(Attempt, Duration)>;

/// What came of one look into the queue.
#[derive(Default)]
struct Begun {
    claimed: Vec<Claimed>,
    left: Left,
    /// Why others were not read.
    outage: Option<StoreError>,
    more: bool,
}

pub(super) async fn claim(
    shared: &Arc<Shared>,
    engine: &Engine,
    lease: LeaseId,
    limit: usize,
) -> Result<Vec<Claimed>, StoreError> {
    let (mut claimed, mut left, mut looks) = (Vec::new(), 0, 0);
    let mut last_lane = shared.last_lane.lock().await;
    while claimed.len() < limit.min(AT_ONCE) && looks < LOOKS && left < MOST_LEFT {
        let most = limit.min(AT_ONCE) - claimed.len();
        let begun = begin(shared, lease, most, &mut last_lane).await;
        let begun = begun.unwrap_or_else(|error| Begun { outage: Some(error), ..Begun::default() });
        claimed.extend(begun.claimed);
        // None are claimed only where there are none.
        let goes_on = claimed.is_empty() && !begun.left.is_empty();
        left += begun.left.len();
        leave(shared, engine, begun.left).await;
        match begun.outage {
            Some(error) if claimed.is_empty() => return Err(error),
            Some(_) => return Ok(claimed),
            None if goes_on => {}
            None if begun.more => looks += 1,
            None => break,
        }
    }
    Ok(claimed)
}

async fn begin(shared: &Shared, lease: LeaseId, limit: usize, last_lane: &mut String) -> Result<Begun, StoreError> {
    let arguments = [&*lease.0.to_string(), &limit.to_string(), &LARGE.to_string(), last_lane];
    let rows = shared.database.often(Way::Plain, &CLAIM, &arguments).await?;
    let Some(first) = rows.first() else { return Ok(Begun::default()) };
    if !get::<bool>(first, "held")? {
        return Err(Refused::LeaseOver.into());
    }
    let rested = get::<i64>(first, "rested")? > 0;
    if get::<Option<&str>>(first, "id")?.is_none() {
        return Ok(Begun { more: rested || get::<i64>(first, "candidates")? > 0, ..Begun::default() });
    }
    if let Some(last) = rows.last() {
        *last_lane = format!("'{}'::uuid", get::<&str>(last, "lane")?);
    }
    Ok(Begun { more: rested, ..sort(shared, &rows).await? })
}

/// Tells what can be run here from what cannot.
async fn sort(shared: &Shared, rows: &[PgRow]) -> Result<Begun, StoreError> {
    let attempts = rows.iter().map(attempt).collect::<Result<Vec<_>, _>>()?;
    let mut begun = Begun::default();
    let terms = match terms_of(shared, rows).await {
        Ok(terms) => terms,
        Err(error) => {
            begun.outage = Some(error);
            HashMap::new()
        }
    };
    for (row, attempt) in rows.iter().zip(attempts) {
        if begun.outage.is_some() {
            begun.left.push((attempt, Duration::ZERO));
            continue;
        }
        match claimed(shared, row, attempt, &terms).await {
            Ok(claimed) => begun.claimed.push(claimed),
            // It was canceled meanwhile.
            Err(StoreError::Refused(_)) => {}
            Err(StoreError::Unreadable(error)) => {
                tracing::warn!(%error, "a queued operation cannot be read by this release");
                begun.left.push((attempt, LEFT_TO_OTHERS));
            }
            Err(error) => {
                begun.outage = Some(error);
                begun.left.push((attempt, PAUSE));
            }
        }
    }
    Ok(begun)
}

async fn claimed(
    shared: &Shared,
    row: &PgRow,
    attempt: Attempt,
    terms: &HashMap<i32, Arc<Terms>>,
) -> Result<Claimed, StoreError> {
    let (owner, terms) = (owner(row)?, known(terms, get(row, "terms")?)?);
    let request = request(shared, row, attempt).await?;
    Ok(Claimed { attempt, owner, terms, created: time(get(row, "created")?), request })
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

/// Lets go of these, if not now then as soon as the database can be reached: as long as the lease goes on, nobody else
/// would run them.
async fn leave(shared: &Arc<Shared>, engine: &Engine, left: Left) {
    if left.is_empty() || try_to_leave(shared, &left).await.is_ok() {
        return;
    }
    let shared = Arc::clone(shared);
    engine.spawn(async move {
        for _ in 0..TRIES {
            sleep(PAUSE).await;
            if try_to_leave(&shared, &left).await.is_ok() {
                return;
            }
        }
    });
}

async fn try_to_leave(shared: &Shared, left: &[(Attempt, Duration)]) -> Result<(), StoreError> {
    let values = [
        ("ids", &*ids(left.iter().map(|(attempt, _)| attempt.operation))),
        ("attempts", &numbers(left.iter().map(|(attempt, _)| Some(attempt.number.into())))),
        ("rests", &numbers(left.iter().map(|(_, rest)| Some(millis(*rest))))),
    ];
    shared.database.rows(LEAVE, &values).await.map(drop)
}
