//! Leases, and what is held under them.

use std::{fmt::Write as _, time::Duration};

use super::{
    super::{
        StoreError,
        contract::{Attempt, LeaseId, OpenLease},
    },
    batch::{Batch, Write},
    database::unavailable,
    kept::{get, millis, whole_millis},
};
use crate::operation::Refused;

#[derive(Debug)]
pub(super) struct Open(pub(super) Duration, pub(super) Vec<Attempt>);

impl Write for Open {
    type Answer = OpenLease;

    async fn write(&self, batch: &mut Batch) -> Result<OpenLease, StoreError> {
        let Self(length, running) = self;
        let open = sqlx::query("INSERT INTO leases (until, length) VALUES (?, ?) RETURNING id")
            .bind(millis(batch.now.after(*length)))
            .bind(whole_millis(*length));
        let opened = batch.one(open).await?.ok_or_else(|| unavailable(sqlx::Error::RowNotFound))?;
        let id = LeaseId(get(&opened, 0)?);
        batch.bring(id, running).await?;
        Ok(OpenLease { id, lost: batch.lost(running).await? })
    }
}

#[derive(Debug)]
pub(super) struct Renew(pub(super) LeaseId, pub(super) Vec<Attempt>);

impl Write for Renew {
    type Answer = Vec<Attempt>;

    async fn write(&self, batch: &mut Batch) -> Result<Vec<Attempt>, StoreError> {
        let now = millis(batch.now);
        // At the latest the end of time: SQLite makes a sum that is too large a fraction.
        let renew = sqlx::query(
            "UPDATE leases SET until = iif(length > 9223372036854775807 - ?2, 9223372036854775807, ?2 + length) \
             WHERE id = ?1 AND until > ?2",
        );
        if batch.execute(renew.bind(self.0.0).bind(now)).await? == 0 {
            return Err(Refused::LeaseOver.into());
        }
        batch.bring(self.0, &self.1).await?;
        batch.lost(&self.1).await
    }
}

#[derive(Debug)]
pub(super) struct Close(pub(super) LeaseId);

impl Write for Close {
    type Answer = ();

    async fn write(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let close = sqlx::query("UPDATE leases SET until = ?2 WHERE id = ?1 AND until > ?2");
        batch.execute(close.bind(self.0.0).bind(millis(batch.now))).await?;
        Ok(())
    }
}

impl Batch {
    /// Has what runs held under this lease.
    async fn bring(&mut self, lease: LeaseId, running: &[Attempt]) -> Result<(), StoreError> {
        if running.is_empty() {
            return Ok(());
        }
        let bring = sqlx::query(
            "UPDATE operations SET lease = ?2 FROM json_each(?1) AS brought WHERE operations.id = unhex(value ->> 0) \
             AND state = 1 AND attempt = value ->> 1 AND lease IS NOT ?2",
        );
        self.execute(bring.bind(json(running)).bind(lease.0)).await.map(drop)
    }

    /// Those of the attempts that are not, or no longer, the ones that run.
    async fn lost(&mut self, running: &[Attempt]) -> Result<Vec<Attempt>, StoreError> {
        if running.is_empty() {
            return Ok(Vec::new());
        }
        let lost = sqlx::query(
            "SELECT key FROM json_each(?) AS believed WHERE NOT EXISTS (SELECT 1 FROM operations \
             WHERE operations.id = unhex(believed.value ->> 0) AND state = 1 AND attempt = believed.value ->> 1)",
        );
        let rows = self.all(lost.bind(json(running))).await?;
        let places = rows.iter().map(|row| get::<i64>(row, 0)).collect::<Result<Vec<_>, _>>()?;
        Ok(places.iter().filter_map(|place| running.get(usize::try_from(*place).ok()?).copied()).collect())
    }
}

/// The attempts as SQLite takes lists: `[["0b5a...", 1], ...]`.
fn json(attempts: &[Attempt]) -> String {
    let mut json = String::with_capacity(2 + 48 * attempts.len());
    for Attempt { operation, number } in attempts {
        let separator = if json.is_empty() { '[' } else { ',' };
        // Writing to a string cannot fail.
        let _ = write!(json, "{separator}[\"{:032x}\",{number}]", u128::from_be_bytes(operation.to_bytes()));
    }
    if json.is_empty() { "[]".to_owned() } else { json + "]" }
}
