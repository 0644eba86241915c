//! What is written, and the transaction in which it is.

use std::{any::Any, fmt, pin::Pin};

use sqlx::{
    Connection, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{StoreError, StoreFuture, engine::Batches},
    database::unavailable,
    kept::{get, now, timestamp},
    room::Room,
};
use crate::operation::{OperationId, Timestamp};

/// Something to write, atomic by itself: it is refused before it has changed anything, or it is done.
pub(super) trait Write: fmt::Debug + Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Done again from the start where the transaction was broken by another.
    fn write(&self, batch: &mut Batch) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// A [`Write`] of which a batch does many in the same statements.
pub(super) trait GroupWrite: Write {
    /// The operation that it is about, if it may be one of a group, in which no other is about the same. What is large
    /// is written by itself, and so is what needs more than its part of those statements.
    fn in_group(&self) -> Option<OperationId>;

    /// Answers for each, in their order. The way of a single one too, as a group of one.
    fn write_group(
        group: &[&Self],
        batch: &mut Batch,
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer, StoreError>>, StoreError>> + Send;
}

/// The answer of a group of one.
pub(super) fn only<T>(answers: Vec<Result<T, StoreError>>) -> Result<T, StoreError> {
    answers.into_iter().next().unwrap_or(Err(StoreError::Unsupported("a group of none")))
}

/// What has more bytes is written by itself, not in a group.
pub(super) const LARGEST_IN_GROUP: usize = 64 << 10;

/// Any [`Write`].
pub(super) trait AnyWrite: Any + fmt::Debug + Send + Sync {
    fn write_any<'a>(&'a self, batch: &'a mut Batch) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;
}

pub(super) type Answered = Result<Box<dyn Any + Send>, StoreError>;

impl<W: Write> AnyWrite for W {
    fn write_any<'a>(&'a self, batch: &'a mut Batch) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
        Box::pin(async { Ok(Box::new(self.write(batch).await?) as Box<dyn Any + Send>) })
    }
}

/// Where writes wait for their batch.
#[derive(Debug)]
pub(super) struct Writer(Batches<Box<dyn AnyWrite>, Box<dyn Any + Send>>);

impl Writer {
    pub(super) fn new(batches: Batches<Box<dyn AnyWrite>, Box<dyn Any + Send>>) -> Self {
        Self(batches)
    }

    pub(super) fn write<W: Write>(&self, write: W) -> StoreFuture<W::Answer> {
        let answered = self.0.write(Box::new(write));
        StoreFuture::pending(async {
            let answer = answered.await?.downcast::<W::Answer>();
            // Never another's answer: they come in the order of what was asked.
            answer.map(|answer| *answer).map_err(|_| StoreError::Unsupported("an answer to something else"))
        })
    }
}

/// A transaction in which each of a batch writes.
#[derive(Debug)]
pub(super) struct Batch {
    connection: SqliteConnection,
    /// The moment of all that is written: the store's time once nobody else could write any more.
    pub(super) now: Timestamp,
    pub(super) room: Room,
}

pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

impl Batch {
    pub(super) async fn begin(mut connection: SqliteConnection, room: Room) -> Result<Self, StoreError> {
        let begin = sqlx::query(concat!("BEGIN IMMEDIATE; SELECT ", now!()));
        let row = begin.fetch_one(&mut connection).await.map_err(unavailable)?;
        Ok(Self { now: timestamp(get(&row, 0)?), connection, room })
    }

    pub(super) async fn commit(mut self) -> Result<SqliteConnection, StoreError> {
        sqlx::query("COMMIT").execute(&mut self.connection).await.map_err(unavailable)?;
        Ok(self.connection)
    }

    /// Nothing has been written; the connection is given up.
    pub(super) async fn give_up(self) {
        let _rolled_back = self.connection.close().await;
    }

    /// How many rows the statement has changed.
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = statement.execute(&mut self.connection).await.map_err(unavailable)?;
        Ok(done.rows_affected())
    }

    pub(super) async fn one(&mut self, statement: Statement) -> Result<Option<SqliteRow>, StoreError> {
        statement.fetch_optional(&mut self.connection).await.map_err(unavailable)
    }

    pub(super) async fn all(&mut self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        statement.fetch_all(&mut self.connection).await.map_err(unavailable)
    }
}
