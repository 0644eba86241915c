//! What time has made due.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteRow;

use super::{
    super::{
        StoreError,
        contract::{Attempt, Swept},
    },
    batch::{Batch, Statement, Write},
    kept::{Kept, get, id, limit, millis, select},
};
use crate::operation::{Failure, Timestamp};

/// Once so many bytes of replies have been forgotten, the rest waits for the next sweep, and lets others write before.
const BYTES: i64 = 64 << 20;

/// So many pages are given back at once.
const PAGES: &str = "PRAGMA incremental_vacuum(1000)";

#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) limit: usize,
    pub(super) places: Arc<Places>,
    /// While it waits for the file, so may the heartbeats of others.
    pub(super) asked: Timestamp,
}

/// Where the next sweep goes on, beyond what this release cannot read and so leaves as it is.
#[derive(Debug, Default)]
pub(super) struct Places {
    overdue: Mutex<Place>,
    lost: Mutex<Place>,
}

/// The place of an operation in an index: its deadline or lease, and its number.
type Place = (i64, i64);

impl Write for Sweep {
    type Answer = Swept;

    async fn write(&self, batch: &mut Batch) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        self.expire(batch, &mut swept).await?;
        self.time_out(batch, &mut swept).await?;
        self.retry_lost(batch, &mut swept).await?;
        swept.more |= batch.end_rests(self.limit).await? >= self.limit as u64;
        let over = sqlx::query(
            "DELETE FROM leases WHERE until <= ? AND NOT EXISTS (SELECT 1 FROM operations WHERE lease = leases.id)",
        );
        batch.execute(over.bind(millis(batch.now))).await?;
        batch.give_back().await?;
        Ok(swept)
    }
}

impl Sweep {
    async fn expire(&self, batch: &mut Batch, swept: &mut Swept) -> Result<(), StoreError> {
        let expire = sqlx::query(
            "DELETE FROM operations WHERE number IN (SELECT number FROM (\
                 SELECT number, sum(size) OVER (ORDER BY number) - size AS bytes_before FROM (\
                     SELECT number, size FROM operations WHERE state IN (2, 3, 4) AND due <= ? LIMIT ?\
                 )) WHERE bytes_before < ?) RETURNING id",
        );
        let now = millis(batch.now);
        let expired = batch.all(expire.bind(now).bind(limit(self.limit)).bind(BYTES)).await?;
        swept.expired = expired.iter().map(|row| id(row, 0)).collect::<Result<_, _>>()?;
        let rest = sqlx::query("SELECT 1 FROM operations WHERE state IN (2, 3, 4) AND due <= ? LIMIT 1");
        swept.more |= batch.one(rest.bind(now)).await?.is_some();
        Ok(())
    }

    async fn time_out(&self, batch: &mut Batch, swept: &mut Swept) -> Result<(), StoreError> {
        let overdue = sqlx::query(select!(
            "due",
            "WHERE state = 1 AND due <= ?1 AND (due, number) > (?2, ?3) ORDER BY due, number LIMIT ?4"
        ));
        for kept in self.page(batch, overdue.bind(millis(batch.now)), &self.places.overdue, swept).await? {
            swept.ended.push((kept.snapshot.id, batch.time_out(kept).await?));
        }
        Ok(())
    }

    async fn retry_lost(&self, batch: &mut Batch, swept: &mut Swept) -> Result<(), StoreError> {
        let lost = sqlx::query(select!(
            "lease",
            "WHERE lease IN (SELECT leases.id FROM leases WHERE until <= ?1) AND (lease, number) > (?2, ?3) \
             ORDER BY lease, number LIMIT ?4"
        ));
        // Those leases that were over when it was asked for; what the others have been waiting for since comes first.
        let asked = millis(self.asked.min(batch.now));
        for kept in self.page(batch, lost.bind(asked), &self.places.lost, swept).await? {
            let operation = kept.snapshot.id;
            let attempt = Attempt { operation, number: kept.snapshot.life.attempt };
            match batch.retry(kept, attempt, Failure::Lost).await? {
                Some(finished) => swept.ended.push((operation, finished)),
                None => swept.queued.push(operation),
            }
        }
        Ok(())
    }

    /// The next of what is due at the moment that is bound already, less what cannot be read.
    async fn page(
        &self,
        batch: &mut Batch,
        due: Statement,
        place: &Mutex<Place>,
        swept: &mut Swept,
    ) -> Result<Vec<Kept>, StoreError> {
        let (beyond, number) = *place.lock().unwrap_or_else(PoisonError::into_inner);
        let due = due.bind(beyond).bind(number).bind(limit(self.limit));
        let rows = batch.all(due).await?;
        let is_full = rows.len() >= self.limit;
        let next = rows.last().filter(|_| is_full).map_or(Ok(Place::default()), of)?;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = next;
        swept.more |= is_full;
        Ok(rows.iter().filter_map(readable).collect())
    }
}

fn of(row: &SqliteRow) -> Result<Place, StoreError> {
    Ok((get(row, 17)?, get(row, 0)?))
}

fn readable(row: &SqliteRow) -> Option<Kept> {
    Kept::of(row).inspect_err(|error| tracing::warn!(%error, "what is due cannot be read by this release")).ok()
}

impl Batch {
    /// Makes the file smaller where a quarter of it is free.
    async fn give_back(&mut self) -> Result<(), StoreError> {
        let free = "SELECT 1 FROM pragma_freelist_count, pragma_page_count WHERE freelist_count * 4 > page_count";
        if self.one(sqlx::query(free)).await?.is_some() {
            self.all(sqlx::query(PAGES)).await?;
        }
        Ok(())
    }
}
