//! How much may be kept.

use super::{super::StoreError, batch::Batch, database::unavailable, kept::get};
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

/// How much more may be kept.
#[derive(Debug)]
pub(super) struct Free {
    room: Room,
    /// So many bytes are enough for the reply of a new operation.
    headroom: u64,
}

impl Batch {
    /// How much more may be kept, before what is written next.
    pub(super) async fn free(&mut self) -> Result<Free, StoreError> {
        let Room { operations, bytes } = self.room;
        let headroom = bytes / 8;
        if operations == u64::MAX && bytes == u64::MAX {
            return Ok(Free { room: self.room, headroom });
        }
        let kept = self.one(sqlx::query("SELECT sum(operations), sum(bytes) FROM counts")).await?;
        let kept = kept.ok_or_else(|| unavailable(sqlx::Error::RowNotFound))?;
        let free =
            |limit: u64, column| get::<i64>(&kept, column).map(|kept| limit.saturating_sub(kept.cast_unsigned()));
        Ok(Free { room: Room { operations: free(operations, 0)?, bytes: free(bytes, 1)? }, headroom })
    }
}

impl Free {
    /// Whether there may be no places for so many operations more.
    pub(super) fn is_short_of(&self, operations: usize) -> bool {
        self.room.operations < operations as u64
    }

    /// Takes the place of one more operation. Refuses it where it does not fit, or its reply might not, so that none is
    /// accepted only to lose it.
    pub(super) fn admit(&mut self, terms: &Terms) -> Result<(), StoreError> {
        let headroom = (terms.policy.max_reply as u64).min(self.headroom);
        if self.room.operations == 0 || !self.fits(headroom) {
            return Err(StoreError::Full);
        }
        self.room.operations -= 1;
        Ok(())
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn fits(&self, more: u64) -> bool {
        more <= self.room.bytes
    }

    /// Takes so many bytes.
    pub(super) fn take(&mut self, bytes: u64) {
        self.room.bytes = self.room.bytes.saturating_sub(bytes);
    }
}
