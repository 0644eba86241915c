//! What time has made due, and how much there is of everything.

use super::{
    Shared,
    database::Database,
    ending::{OVERDUE, Retried, retry_all},
    rows::{self, finished, get},
};
use crate::{
    operation::{Refused, State, Timestamp},
    store::{
        StoreError,
        clock::moment_of_asking,
        contract::{Counts, Swept},
    },
};

const EXPIRED: &str = "
WITH gone AS (
    DELETE FROM {p}ended WHERE id = ANY (ARRAY(
        SELECT id FROM {p}ended WHERE expires <= {now} ORDER BY expires LIMIT {limit} FOR UPDATE SKIP LOCKED))
    RETURNING id, key
), freed AS (
    DELETE FROM {p}keys k USING gone g WHERE k.name = g.key AND k.operation = g.id
)
SELECT id::text FROM gone";

const NOW: &str = "SELECT {now} AS now";

/// The attempts whose lease was over at a moment that is past.
const LOST: &str = "
SELECT v.id, v.attempt, 'l'::\"char\" AS failure FROM {p}leases l JOIN {p}live v ON v.lease = l.id
WHERE l.until <= {moment} AND v.state = 'r' LIMIT {limit} FOR UPDATE OF v SKIP LOCKED";

/// A lease that nobody can be about to run anything under any more.
const OVER: &str = "
DELETE FROM {p}leases l WHERE l.until <= {now} - 600000 AND NOT EXISTS (SELECT FROM {p}live v WHERE v.lease = l.id)";

const COUNT: &str = "
SELECT state::text, count(*) AS operations, 0::int8 AS bytes FROM {p}live GROUP BY state
UNION ALL
SELECT state::text, count(*), coalesce(sum(octet_length(reply)), 0)::int8 FROM {p}ended GROUP BY state";

pub(super) async fn sweep(shared: &Shared, limit: usize) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    let database = &shared.database;
    let most = limit.to_string();

    for row in database.rows(EXPIRED, &[("limit", &most)]).await? {
        swept.expired.push(rows::id(&row)?);
    }
    let overdue = database.rows(OVERDUE, &[("limit", &most)]).await?;
    for (attempt, end) in finished(shared, &overdue).await? {
        swept.ended.push((attempt.operation, end));
    }
    let moment = moment_of_asking(now(database)).await?.as_millis().to_string();
    let lost = retry_all(shared, &database.render(LOST, &[("moment", &moment), ("limit", &most)])).await?;
    swept.more = [swept.expired.len(), overdue.len(), lost.len()].into_iter().any(|done| done >= limit);
    for retried in lost.into_iter().flatten() {
        match retried {
            Retried::Queued(id) => swept.queued.push(id),
            Retried::Ended(id, end) => swept.ended.push((id, end)),
        }
    }
    database.rows(OVER, &[]).await?;
    Ok(swept)
}

async fn now(database: &Database) -> Result<Timestamp, StoreError> {
    let rows = database.rows(NOW, &[]).await?;
    get(rows.first().ok_or(Refused::Unknown)?, "now").map(rows::time)
}

/// What is in a state that this release does not know is not counted, but for the bytes of its reply.
pub(super) async fn count(shared: &Shared) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    for row in shared.database.rows(COUNT, &[]).await? {
        let operations = get::<i64>(&row, "operations")?.unsigned_abs();
        counts.reply_bytes += get::<i64>(&row, "bytes")?.unsigned_abs();
        let Ok(state) = rows::state(get(&row, "state")?) else { continue };
        let place = match state {
            State::Queued => &mut counts.queued,
            State::Running => &mut counts.running,
            State::Succeeded => &mut counts.succeeded,
            State::Failed => &mut counts.failed,
            State::Canceled => &mut counts.canceled,
        };
        *place += operations;
    }
    Ok(counts)
}
