//! How operations end.

use std::sync::{Arc, LazyLock};

use sqlx::sqlite::SqliteRow;

use super::{
    super::{
        StoreError,
        contract::{Attempt, Finished, Snapshot},
    },
    batch::{Batch, GroupWrite, LARGEST_IN_GROUP, Statement, Write, only},
    kept::{Kept, millis, state_number},
    room::{Free, LARGEST_RECORD},
    rows::{self, Texts, parameters},
};
use crate::operation::{Ending, Failure, Life, OperationId, Refused, Reply, State, Step, Timestamp};

#[derive(Debug)]
pub(super) struct Finish(pub(super) Attempt, pub(super) Arc<Reply>);

impl Write for Finish {
    type Answer = Finished;

    async fn write(&self, batch: &mut Batch) -> Result<Finished, StoreError> {
        only(Self::write_group(&[self], batch).await?)
    }
}

impl GroupWrite for Finish {
    fn in_group(&self) -> Option<OperationId> {
        (self.1.size() <= LARGEST_IN_GROUP).then_some(self.0.operation)
    }

    async fn write_group(group: &[&Self], batch: &mut Batch) -> Result<Vec<Result<Finished, StoreError>>, StoreError> {
        let operations: Vec<_> = group.iter().map(|finish| finish.0.operation).collect();
        let found = batch.find(&operations).await?;
        let mut free = batch.free().await?;
        let ended = |finish: &&Self| finish.ended(found.get(&finish.0.operation), &mut free);
        let ended: Vec<_> = group.iter().map(ended).collect();
        batch.end_all(&ended.iter().flatten().collect::<Vec<_>>()).await?;
        Ok(ended.into_iter().map(|ended| Ok(ended?.finished(batch.now))).collect())
    }
}

impl Finish {
    /// A reply for which there is no room is not kept.
    fn ended(&self, found: Option<&SqliteRow>, free: &mut Free) -> Result<Ended, StoreError> {
        let Self(attempt, reply) = self;
        let kept = Kept::of(found.ok_or(Refused::Unknown)?)?;
        let reply = match reply.size() <= LARGEST_RECORD && free.fits(reply.size() as u64) {
            true => Arc::clone(reply),
            false => Arc::new(Reply::none(Ending::Failed(Failure::ReplyTooLarge))),
        };
        let life = kept.snapshot.life.step(Step::Finish { attempt: attempt.number, end: reply.state() })?;
        free.take(reply.size() as u64);
        Ok(Ended { kept, life, reply, failed: None })
    }
}

/// An operation that ends.
pub(super) struct Ended {
    pub(super) kept: Kept,
    /// Where it is from now on.
    pub(super) life: Life,
    pub(super) reply: Arc<Reply>,
    /// Its failed attempts, where there is one more.
    pub(super) failed: Option<Vec<u8>>,
}

/// The parameters of an [`Ended`] in the table of operations.
const COLUMNS: usize = 8;

static END: LazyLock<Texts> = LazyLock::new(|| {
    Texts::new(|size| {
        format!(
            "UPDATE operations SET ended = ?, state = column2, failures = column3, lease = NULL, lane = NULL, \
             due = column4, failure = column5, status = column6, size = column7, failed = ifnull(column8, failed) \
             FROM (VALUES {}) WHERE number = column1; \
             INSERT INTO replies (operation, record) SELECT * FROM (VALUES {}) WHERE column2 IS NOT NULL",
            parameters(size, COLUMNS),
            parameters(size, 2),
        )
    })
});

impl Ended {
    pub(super) fn of(kept: Kept, life: Life, reply: Reply) -> Self {
        Self { kept, life, reply: Arc::new(reply), failed: None }
    }

    fn bind(&self, statement: Statement, now: Timestamp) -> Statement {
        let Self { kept, life, reply, failed } = self;
        statement
            .bind(kept.number)
            .bind(state_number(life.state))
            .bind(i64::from(life.failures))
            .bind(millis(now.after(kept.snapshot.terms.retention())))
            .bind(reply.ending().failure().map(Failure::as_str))
            .bind(reply.status_or_none().map(|status| i64::from(status.as_u16())))
            .bind(i64::try_from(reply.size()).unwrap_or(i64::MAX))
            .bind(failed.clone())
    }

    fn finished(self, now: Timestamp) -> Finished {
        let Snapshot { created, terms, life, .. } = self.kept.snapshot;
        Finished::with(&self.reply, terms, now.since(created), life.state == State::Running)
    }
}

impl Batch {
    pub(super) async fn end(&mut self, ended: Ended) -> Result<Finished, StoreError> {
        self.end_all(&[&ended]).await?;
        Ok(ended.finished(self.now))
    }

    /// Ends operations that are as they were just found.
    async fn end_all(&mut self, all: &[&Ended]) -> Result<(), StoreError> {
        for ended in all.chunks(rows::LARGEST) {
            let now = self.now;
            let end = END.about(ended.len()).bind(millis(now));
            let end = end.rows(COLUMNS, ended.iter(), |statement, ended| ended.bind(statement, now));
            let end = end.rows(2, ended.iter(), |statement, ended| {
                let reply = (ended.reply.size() > 0).then(|| ended.reply.to_record());
                statement.bind(ended.kept.number).bind(reply)
            });
            self.execute(end.bound()).await?;
        }
        Ok(())
    }
}
