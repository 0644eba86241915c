//! How queued operations find somebody to run them.
//!
//! Each owner and route has a lane, and the lanes take turns in the order of their numbers: the next operation is the
//! oldest of the first lane after the one that had its turn last. The index holds only what may be claimed at once, and
//! is looked at some times for each operation that is claimed, however many are queued.
//!
//! Workers ask often, as whenever another process has written, and mostly for nothing: that is found out by reading,
//! which holds nobody up who writes.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::sqlite::SqliteRow;

use super::{
    super::{
        StoreError,
        contract::{Attempt, Claimed, LeaseId},
    },
    batch::{Batch, Statement, Write, Writer},
    database::{Database, unavailable},
    kept::{self, Kept, get, limit, millis, now, select},
    rows::{self, Texts, parameters},
};
use crate::operation::{Life, Refused, Step, StoredRequest, Timestamp};

/// How long what this release cannot read is left to others.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(60);

/// So many may be left to others in one claim.
const MOST_LEFT: usize = rows::LARGEST;

/// Whether there is something to claim, or to refuse.
pub(super) const WORTH_IT: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM operations WHERE state = 0 AND due IS NULL) \
     OR EXISTS (SELECT 1 FROM operations WHERE state = 0 AND due <= ",
    now!(),
    ") OR NOT EXISTS (SELECT 1 FROM leases WHERE id = ? AND until > ",
    now!(),
    ")"
);

/// What is known of the queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// There was as much to claim as somebody wanted, so that there probably is more.
    is_full: AtomicBool,
}

impl Queue {
    /// Claims what there is, and holds up nobody who writes where there is nothing.
    pub(super) async fn claim(
        &self,
        database: &Database,
        writer: &Writer,
        claim: Claim,
    ) -> Result<Vec<Claimed>, StoreError> {
        let most = claim.1;
        if !self.is_full.load(Ordering::Relaxed) && !is_worth_it(database, claim.0).await? {
            return Ok(Vec::new());
        }
        let claimed = writer.write(claim).await?;
        self.is_full.store(claimed.len() >= most.max(1), Ordering::Relaxed);
        Ok(claimed)
    }
}

async fn is_worth_it(database: &Database, lease: LeaseId) -> Result<bool, StoreError> {
    let connections = database.connections().await?;
    let asked = sqlx::query_scalar(WORTH_IT).bind(lease.0);
    asked.fetch_one(&connections.readers).await.map_err(unavailable)
}

#[derive(Debug)]
pub(super) struct Claim(pub(super) LeaseId, pub(super) usize);

impl Write for Claim {
    type Answer = Vec<Claimed>;

    async fn write(&self, batch: &mut Batch) -> Result<Vec<Claimed>, StoreError> {
        let Self(lease, most) = *self;
        batch.hold(lease).await?;
        batch.end_rests(most.saturating_add(MOST_LEFT)).await?;
        let (mut claimed, mut left) = (Vec::new(), 0);
        while claimed.len() < most && left < MOST_LEFT {
            let next = batch.next((most - claimed.len()).min(MOST_LEFT - left)).await?;
            let Some(last) = next.last() else { break };
            let (mut taken, turn) = (Vec::with_capacity(next.len()), get(last, 7)?);
            for row in &next {
                match queued(row) {
                    Ok(queued) => taken.push(queued),
                    Err(StoreError::Unreadable(error)) => {
                        tracing::warn!(error = %error, "a queued operation cannot be read by this release");
                        batch.leave(get(row, 0)?).await?;
                        left += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            batch.claim(lease, &taken, turn).await?;
            claimed.extend(taken.into_iter().map(Queued::claimed));
        }
        Ok(claimed)
    }
}

/// An operation that is claimed.
struct Queued {
    kept: Kept,
    request: StoredRequest,
    /// Where it is from now on.
    life: Life,
}

/// What was [next](Batch::next).
fn queued(row: &SqliteRow) -> Result<Queued, StoreError> {
    let kept = Kept::of(row)?;
    let life = kept.snapshot.life.step(Step::Claim)?;
    Ok(Queued { request: kept::request(get(row, 17)?)?, kept, life })
}

/// The parameters of a [`Queued`].
const COLUMNS: usize = 3;

static CLAIM: LazyLock<Texts> = LazyLock::new(|| {
    Texts::new(|size| {
        format!(
            "UPDATE turn SET lane = ?; \
             UPDATE operations SET state = 1, lease = ?, attempt = column2, due = column3 \
             FROM (VALUES {}) WHERE number = column1",
            parameters(size, COLUMNS),
        )
    })
});

impl Queued {
    fn bind(&self, statement: Statement, now: Timestamp) -> Statement {
        let runs_until = self.kept.snapshot.terms.max_run_time().map(|longest| millis(now.after(longest)));
        statement.bind(self.kept.number).bind(i64::from(self.life.attempt)).bind(runs_until)
    }

    fn claimed(self) -> Claimed {
        let Kept { owner, snapshot, .. } = self.kept;
        let attempt = Attempt { operation: snapshot.id, number: self.life.attempt };
        Claimed { attempt, owner, terms: snapshot.terms, created: snapshot.created, request: self.request }
    }
}

/// The operations that are next, at most so many, with their requests. In `lanes` are those that may be concerned, with
/// their oldest operations: the first lane, and after each the next. In `turns` come these, and after each the next of
/// the same lane; what is later waits there until its turn.
pub(super) const NEXT: &str = concat!(
    "WITH RECURSIVE lanes (one, first, oldest) AS (\
         SELECT lane, lane, number FROM operations WHERE number = ifnull(\
             (SELECT number FROM operations WHERE state = 0 AND due IS NULL AND lane > (SELECT lane FROM turn) \
                 ORDER BY lane, number LIMIT 1), \
             (SELECT number FROM operations WHERE state = 0 AND due IS NULL ORDER BY lane, number LIMIT 1)) \
         UNION ALL \
         SELECT lane, first, number FROM lanes CROSS JOIN operations WHERE lane <> first AND number = ifnull(\
             (SELECT number FROM operations WHERE state = 0 AND due IS NULL AND lane > one \
                 ORDER BY lane, number LIMIT 1), \
             (SELECT number FROM operations WHERE state = 0 AND due IS NULL ORDER BY lane, number LIMIT 1)) \
         LIMIT ?1), \
     turns (round, is_later, whose, next) AS (\
         SELECT 0, one < first, one, oldest FROM lanes \
         UNION ALL \
         SELECT round + 1, is_later, whose, number FROM turns CROSS JOIN operations WHERE number = \
             (SELECT number FROM operations WHERE state = 0 AND due IS NULL AND lane = whose AND number > next \
                 ORDER BY number LIMIT 1) \
         ORDER BY 1, 2, 3 LIMIT ?1) ",
    select!(
        "(SELECT record FROM requests WHERE operation = number)",
        "JOIN turns ON number = next ORDER BY round, is_later, whose"
    )
);

impl Batch {
    /// Refuses where the lease is over.
    async fn hold(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        let held = sqlx::query("SELECT 1 FROM leases WHERE id = ? AND until > ?").bind(lease.0).bind(millis(self.now));
        Ok(self.one(held).await?.map(|_| ()).ok_or(Refused::LeaseOver)?)
    }

    /// Lets what has rested be claimed.
    pub(super) async fn end_rests(&mut self, most: usize) -> Result<u64, StoreError> {
        let rested = sqlx::query(
            "UPDATE operations SET due = NULL WHERE number IN \
             (SELECT number FROM operations WHERE state = 0 AND due <= ? ORDER BY due LIMIT ?)",
        );
        self.execute(rested.bind(millis(self.now)).bind(limit(most))).await
    }

    /// Which operations are next after whose turn it was last, some of them if there are very many.
    async fn next(&mut self, most: usize) -> Result<Vec<SqliteRow>, StoreError> {
        self.all(sqlx::query(NEXT).bind(limit(most.min(rows::LARGEST)))).await
    }

    /// Claims operations that are as they were just found, and remembers whose turn it was last.
    async fn claim(&mut self, lease: LeaseId, queued: &[Queued], turn: i64) -> Result<(), StoreError> {
        let now = self.now;
        let claim = CLAIM.about(queued.len()).bind(turn).bind(lease.0);
        let claim = claim.rows(COLUMNS, queued.iter(), |statement, queued| queued.bind(statement, now));
        self.execute(claim.bound()).await.map(drop)
    }

    async fn leave(&mut self, number: i64) -> Result<(), StoreError> {
        let rested = self.now.after(LEFT_TO_OTHERS);
        let leave = sqlx::query("UPDATE operations SET due = ? WHERE number = ? AND state = 0");
        self.execute(leave.bind(millis(rested)).bind(number)).await?;
        Ok(())
    }
}
