//! How operations come to be.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
};

use super::{
    super::{
        StoreError,
        contract::{Created, LeaseId, NewOperation},
    },
    batch::{Batch, GroupWrite, LARGEST_IN_GROUP, Statement, Write, only},
    kept::{Kept, bytes, get, millis, name, select, state_number},
    room::LARGEST_RECORD,
    rows::{self, Texts, parameters},
};
use crate::operation::{Key, OperationId, Owner, Refused, State, Timestamp};

#[derive(Debug)]
pub(super) struct Create(pub(super) NewOperation);

impl Write for Create {
    type Answer = Created;

    async fn write(&self, batch: &mut Batch) -> Result<Created, StoreError> {
        if let Some(key) = self.0.key
            && let Some(existing) = batch.under(key).await?
        {
            return Ok(existing);
        }
        only(Self::write_group(&[self], batch).await?)
    }
}

impl GroupWrite for Create {
    /// One with a key first has to look for what was created under it.
    fn in_group(&self) -> Option<OperationId> {
        let is_small = self.0.request.as_ref().is_none_or(|request| request.body.len() <= LARGEST_IN_GROUP);
        (is_small && self.0.key.is_none()).then_some(self.0.id)
    }

    async fn write_group(group: &[&Self], batch: &mut Batch) -> Result<Vec<Result<Created, StoreError>>, StoreError> {
        let mut free = batch.free().await?;
        // What is refused takes no place from the others, so where these run out it has to be known before.
        let open = if free.is_short_of(group.len()) { Some(batch.open_leases().await?) } else { None };
        let mut row = |operation| {
            let row = Row::of(operation, open.as_ref())?;
            free.admit(&operation.terms).map(|()| row)
        };
        let mut rows: Vec<_> = group.iter().map(|Self(operation)| row(operation)).collect();
        let refused = batch.insert(&mut rows.iter_mut().flatten().collect::<Vec<_>>()).await?;
        let at = batch.now;
        let answer = |row: Result<Row<'_>, StoreError>| match refused.contains(&row?.operation.id) {
            true => Err(Refused::LeaseOver.into()),
            false => Ok(Created::New { at }),
        };
        Ok(rows.into_iter().map(answer).collect())
    }
}

/// An operation as it is inserted.
struct Row<'a> {
    operation: &'a NewOperation,
    request: Option<Vec<u8>>,
}

/// The parameters of a [`Row`] in its table.
const COLUMNS: usize = 11;

static INSERT: LazyLock<Texts> = LazyLock::new(|| {
    Texts::new(|size| {
        format!(
            "INSERT INTO operations \
             (created, id, owner, state, attempt, failures, lease, due, lane, terms, key, asked) \
             SELECT ?, new.* FROM (VALUES {}) AS new WHERE column1 IS NOT NULL AND \
             (column6 IS NULL OR EXISTS (SELECT 1 FROM leases WHERE leases.id = column6 AND until > ?)); \
             INSERT INTO requests (operation, record) SELECT number, column2 FROM (VALUES {}) \
             CROSS JOIN operations WHERE id = column1 AND column2 IS NOT NULL",
            parameters(size, COLUMNS),
            parameters(size, 2),
        )
    })
});

impl<'a> Row<'a> {
    /// Under one of these leases, where they are known.
    fn of(operation: &'a NewOperation, open: Option<&HashSet<LeaseId>>) -> Result<Self, StoreError> {
        if operation.lease.zip(open).is_some_and(|(lease, open)| !open.contains(&lease)) {
            return Err(Refused::LeaseOver.into());
        }
        let request = match operation.request.as_ref().map(|request| request.to_record()) {
            Some(Some(record)) if record.len() <= LARGEST_RECORD => Some(record),
            Some(_) => return Err(StoreError::Unsupported("a request of that size")),
            None => None,
        };
        Ok(Self { operation, request })
    }

    fn bind(&self, statement: Statement, now: Timestamp) -> Statement {
        let NewOperation { id, owner, terms, key, lease, .. } = self.operation;
        let life = self.operation.life();
        let runs_until = terms.max_run_time().map(|longest| millis(now.after(longest)));
        statement
            .bind(bytes(*id))
            .bind(name(owner.as_ref()))
            .bind(state_number(life.state))
            .bind(i64::from(life.attempt))
            .bind(i64::from(life.failures))
            .bind(lease.map(|lease| lease.0))
            .bind(runs_until.filter(|_| life.state == State::Running))
            .bind(self.request.as_ref().map(|_| lane(owner.as_ref(), terms.route())))
            .bind(terms.to_record())
            .bind(key.map(|key| key.name.to_vec()))
            .bind(key.map(|key| key.request.to_vec()))
    }
}

impl Batch {
    async fn open_leases(&mut self) -> Result<HashSet<LeaseId>, StoreError> {
        let open = sqlx::query("SELECT id FROM leases WHERE until > ?").bind(millis(self.now));
        self.all(open).await?.iter().map(|row| get(row, 0).map(LeaseId)).collect()
    }

    /// Inserts what is not under a lease that is over, and gives the ids of what is.
    async fn insert(&mut self, rows: &mut [&mut Row<'_>]) -> Result<HashSet<OperationId>, StoreError> {
        let mut refused = HashSet::new();
        for rows in rows.chunks_mut(rows::LARGEST) {
            let now = self.now;
            let insert = INSERT.about(rows.len()).bind(millis(now));
            let insert = insert.rows(COLUMNS, rows.iter(), |statement, row| row.bind(statement, now)).bind(millis(now));
            let all = rows.len() + rows.iter().filter(|row| row.request.is_some()).count();
            let insert = insert.rows(2, rows.iter_mut(), |statement, row| {
                statement.bind(bytes(row.operation.id)).bind(row.request.take())
            });
            if self.execute(insert.bound()).await? < all as u64 {
                let ids: Vec<_> = rows.iter().map(|row| row.operation.id).collect();
                let found = self.find(&ids).await?;
                refused.extend(ids.into_iter().filter(|id| !found.contains_key(id)));
            }
        }
        Ok(refused)
    }

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
