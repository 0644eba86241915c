//! How queued operations find somebody to run them.
//!
//! Each owner and route has a lane, and the lanes take turns in the order of their numbers: the next operation is the
//! oldest of the first lane after the one that had its turn last. The index holds only what may be claimed at once, so
//! that is one look at it however many are queued.

use std::time::Duration;

use super::{
    super::{
        StoreError,
        contract::{Attempt, Claimed, LeaseId},
    },
    batch::{Batch, Write},
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
        let mut left = 0;
        while claimed.len() < most
            && left < MOST_LEFT
            && let Some(number) = batch.next().await?
        {
            match batch.queued(number).await {
                Ok((kept, request)) => claimed.push(batch.claim(lease, kept, request).await?),
                Err(StoreError::Unreadable(error)) => {
                    tracing::warn!(error = %error, "a queued operation cannot be read by this release");
                    batch.leave(number).await?;
                    left += 1;
                }
                Err(error) => return Err(error),
            }
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

    /// Which operation is next, and with it whose turn it was.
    async fn next(&mut self) -> Result<Option<i64>, StoreError> {
        const NEXT: &str = "SELECT number, lane FROM operations WHERE state = 0 AND due IS NULL \
                            AND lane > (SELECT lane FROM turn) ORDER BY lane, number LIMIT 1";
        const FIRST: &str = "SELECT number, lane FROM operations WHERE state = 0 AND due IS NULL \
                             ORDER BY lane, number LIMIT 1";
        let next = match self.one(sqlx::query(NEXT)).await? {
            Some(next) => next,
            None => match self.one(sqlx::query(FIRST)).await? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        self.execute(sqlx::query("UPDATE turn SET lane = ?").bind(get::<i64>(&next, 1)?)).await?;
        Ok(Some(get(&next, 0)?))
    }

    async fn queued(&mut self, number: i64) -> Result<(Kept, StoredRequest), StoreError> {
        let queued =
            select!("(SELECT record FROM requests WHERE operation = number)", "WHERE number = ? AND state = 0");
        let row = self.one(sqlx::query(queued).bind(number)).await?;
        let row = row.ok_or_else(|| kept::unreadable(sqlx::Error::RowNotFound))?;
        Ok((Kept::of(&row)?, kept::request(get(&row, 17)?)?))
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
