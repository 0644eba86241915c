//! How operations come to be.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{
    super::{
        StoreError,
        contract::{Created, NewOperation},
    },
    batch::{Batch, Write},
    kept::{Kept, bytes, get, millis, name, select, state_number},
    room::LARGEST_RECORD,
};
use crate::operation::{Key, Owner, Refused, State};

#[derive(Debug)]
pub(super) struct Create(pub(super) NewOperation);

impl Write for Create {
    type Answer = Created;

    async fn write(&self, batch: &mut Batch) -> Result<Created, StoreError> {
        let operation = &self.0;
        if let Some(key) = operation.key
            && let Some(existing) = batch.under(key).await?
        {
            return Ok(existing);
        }
        batch.admit(&operation.terms).await?;
        let request = match operation.request.as_ref().map(|request| request.to_record()) {
            Some(Some(record)) if record.len() <= LARGEST_RECORD => Some(record),
            Some(_) => return Err(StoreError::Unsupported("a request of that size")),
            None => None,
        };
        let life = operation.life();
        let runs_until = operation.terms.max_run_time().map(|longest| millis(batch.now.after(longest)));
        let lane = request.as_ref().map(|_| lane(operation.owner.as_ref(), operation.terms.route()));
        let insert = sqlx::query(
            "INSERT INTO operations (id, owner, created, state, attempt, failures, lease, due, lane, terms, key, asked) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 \
             WHERE ?7 IS NULL OR EXISTS (SELECT 1 FROM leases WHERE leases.id = ?7 AND until > ?3); \
             INSERT INTO requests (operation, record) \
             SELECT number, ?13 FROM operations WHERE id = ?1 AND ?13 IS NOT NULL",
        )
        .bind(bytes(operation.id))
        .bind(name(operation.owner.as_ref()))
        .bind(millis(batch.now))
        .bind(state_number(life.state))
        .bind(i64::from(life.attempt))
        .bind(i64::from(life.failures))
        .bind(operation.lease.map(|lease| lease.0))
        .bind(runs_until.filter(|_| life.state == State::Running))
        .bind(lane)
        .bind(operation.terms.to_record())
        .bind(operation.key.map(|key| key.name.to_vec()))
        .bind(operation.key.map(|key| key.request.to_vec()))
        .bind(request);
        match batch.execute(insert).await? {
            0 => Err(Refused::LeaseOver.into()),
            _ => Ok(Created::New { at: batch.now }),
        }
    }
}

impl Batch {
    /// What was created under this key, if it is still kept.
    async fn under(&mut self, key: Key) -> Result<Option<Created>, StoreError> {
        let asked = sqlx::query("SELECT asked, state >= 2 AND due <= ?2 FROM operations WHERE key = ?1");
        let asked = self.one(asked.bind(key.name.to_vec()).bind(millis(self.now))).await?;
        let Some(asked) = asked else { return Ok(None) };
        if get::<Option<bool>>(&asked, 1)? == Some(true) {
            let expired = sqlx::query("DELETE FROM operations WHERE key = ?");
            self.execute(expired.bind(key.name.to_vec())).await?;
            return Ok(None);
        }
        if get::<&[u8]>(&asked, 0)? != key.request {
            return Ok(Some(Created::KeyTaken));
        }
        let existing = self.one(sqlx::query(select!("WHERE key = ?")).bind(key.name.to_vec())).await?;
        existing.map(|row| Ok(Created::Existing(Kept::of(&row)?.snapshot))).transpose()
    }
}

/// The operations of one owner and route as a number. That others may share it makes no difference but to whose turn it
/// is.
fn lane(owner: Option<&Owner>, route: &str) -> i64 {
    let mut hasher = DefaultHasher::new();
    (owner.map(Owner::as_str), route).hash(&mut hasher);
    hasher.finish().cast_signed()
}
