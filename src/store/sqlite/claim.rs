//! How queued operations find somebody to run them.
//!
//! Each owner and route has a lane, and the lanes take turns in the order of their numbers: the next operation is the
//! oldest of the first lane after the one that had its turn last. The index holds only what may be claimed at once, so
//! that is one look at it however many are queued.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;

use super::{
    super::{
        StoreError,
        contract::{Attempt, Claimed, LeaseId},
    },
    batch::{Batch, Write},
    database::unavailable,
    kept::{self, Kept, get, limit, millis, select},
};
use crate::operation::{Refused, Step, StoredRequest};

/// How long what this release cannot read is left to others.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(60);

/// So many may be left to others in one claim.
const MOST_LEFT: usize = 100;

#[derive(Debug)]
pub(super) struct Claim(pub(super) LeaseId, pub(super) usize);

impl Write for Claim {
    type Answer = Vec<Claimed>;

    async fn write(&self, batch: &mut Batch) -> Result<Vec<Claimed>, StoreError> {
        let Self(lease, most) = *self;
        batch.hold(lease).await?;
        batch.end_rests(most.saturating_add(MOST_LEFT)).await?;
        let mut claimed = Vec::new();
        let (begun, mut left) = (batch.turn().await?, 0);
        let mut turn = begun;
        while claimed.len() < most
            && left < MOST_LEFT
            && let Some(row) = batch.next(turn).await?
        {
            let number = get(&row, 0)?;
            turn = get(&row, 7)?;
            match queued(&row) {
                Ok((kept, request)) => claimed.push(batch.claim(lease, kept, request).await?),
                Err(StoreError::Unreadable(error)) => {
                    tracing::warn!(error = %error, "a queued operation cannot be read by this release");
                    batch.leave(number).await?;
                    left += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if turn != begun {
            batch.execute(sqlx::query("UPDATE turn SET lane = ?").bind(turn)).await?;
        }
        Ok(claimed)
    }
}

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

    /// Whose turn it was last.
    async fn turn(&mut self) -> Result<i64, StoreError> {
        let row = self.one(sqlx::query("SELECT lane FROM turn")).await?;
        get(&row.ok_or_else(|| unavailable(sqlx::Error::RowNotFound))?, 0)
    }

    /// Which operation is next after this turn, with its request.
    async fn next(&mut self, turn: i64) -> Result<Option<SqliteRow>, StoreError> {
        let next = select!(
            "(SELECT record FROM requests WHERE operation = number)",
            "WHERE number = ifnull(\
                 (SELECT number FROM operations WHERE state = 0 AND due IS NULL AND lane > ? ORDER BY lane, number LIMIT 1), \
                 (SELECT number FROM operations WHERE state = 0 AND due IS NULL ORDER BY lane, number LIMIT 1))"
        );
        self.one(sqlx::query(next).bind(turn)).await
    }

    async fn claim(&mut self, lease: LeaseId, kept: Kept, request: StoredRequest) -> Result<Claimed, StoreError> {
        let Kept { number, owner, snapshot, .. } = kept;
        let life = snapshot.life.step(Step::Claim)?;
        let runs_until = snapshot.terms.max_run_time().map(|longest| millis(self.now.after(longest)));
        let claim = sqlx::query(
            "UPDATE operations SET state = 1, attempt = ?3, lease = ?4, due = ?5 \
             WHERE number = ?1 AND state = 0 AND attempt = ?2",
        );
        let claim = claim
            .bind(number)
            .bind(i64::from(snapshot.life.attempt))
            .bind(i64::from(life.attempt))
            .bind(lease.0)
            .bind(runs_until);
        self.execute(claim).await?;
        let attempt = Attempt { operation: snapshot.id, number: life.attempt };
        Ok(Claimed { attempt, owner, terms: snapshot.terms, created: snapshot.created, request })
    }

    async fn leave(&mut self, number: i64) -> Result<(), StoreError> {
        let rested = self.now.after(LEFT_TO_OTHERS);
        let leave = sqlx::query("UPDATE operations SET due = ? WHERE number = ? AND state = 0");
        self.execute(leave.bind(millis(rested)).bind(number)).await?;
        Ok(())
    }
}

/// What was [next](Batch::next).
fn queued(row: &SqliteRow) -> Result<(Kept, StoredRequest), StoreError> {
    Ok((Kept::of(row)?, kept::request(get(row, 17)?)?))
}
