//! How much may be kept.

use super::{
    super::StoreError,
    batch::{Batch, Statement},
    database::unavailable,
    kept::get,
};
use crate::policy::Terms;

/// SQLite takes no more in one piece.
pub(super) const LARGEST_RECORD: usize = 999_000_000;

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) operations: u64,
    /// Of all replies together.
    pub(super) bytes: u64,
}

impl Room {
    pub(super) const UNLIMITED: Self = Self { operations: u64::MAX, bytes: u64::MAX };
}

impl Batch {
    /// Refuses an operation that does not fit, or whose reply might not, so that none is accepted only to lose it.
    pub(super) async fn admit(&mut self, terms: &Terms) -> Result<(), StoreError> {
        let Room { operations, bytes } = self.room;
        let headroom = (terms.policy.max_reply as u64).min(bytes / 8);
        let is_full = operations < u64::MAX && self.total("SELECT sum(operations) FROM counts").await? >= operations;
        match is_full || !self.fits(headroom).await? {
            true => Err(StoreError::Full),
            false => Ok(()),
        }
    }

    /// Whether there is room for so many bytes more.
    pub(super) async fn fits(&mut self, more: u64) -> Result<bool, StoreError> {
        let bytes = self.room.bytes;
        Ok(bytes == u64::MAX || self.total("SELECT sum(bytes) FROM counts").await?.saturating_add(more) <= bytes)
    }

    async fn total(&mut self, question: &'static str) -> Result<u64, StoreError> {
        let question: Statement = sqlx::query(question);
        let row = self.one(question).await?.ok_or_else(|| unavailable(sqlx::Error::RowNotFound))?;
        Ok(get::<i64>(&row, 0)?.cast_unsigned())
    }
}
