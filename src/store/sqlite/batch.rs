//! Writes that share a commit.
//!
//! All of a batch is one transaction, and so one flush to the disk; nobody is answered before it. What is refused has
//! changed nothing, and so does not concern the others. A write that breaks the transaction is left out of the next try.

use std::{any::Any, fmt, pin::Pin, sync::Arc};

use sqlx::{
    Connection, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    super::{StoreError, StoreFuture, engine::Batches},
    database::{Database, unavailable},
    kept::{get, now, timestamp},
    room::Room,
};
use crate::operation::Timestamp;

/// Something to write, atomic by itself: it is refused before it has changed anything, or it is done.
pub(super) trait Write: fmt::Debug + Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Done again from the start where the transaction was broken by another.
    fn write(&self, batch: &mut Batch) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// Any [`Write`].
pub(super) trait AnyWrite: fmt::Debug + Send + Sync {
    fn write_any<'a>(&'a self, batch: &'a mut Batch) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;
}

type Answered = Result<Box<dyn Any + Send>, StoreError>;

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
    async fn begin(mut connection: SqliteConnection, room: Room) -> Result<Self, StoreError> {
        let begin = sqlx::query(concat!("BEGIN IMMEDIATE; SELECT ", now!()));
        let row = begin.fetch_one(&mut connection).await.map_err(unavailable)?;
        Ok(Self { now: timestamp(get(&row, 0)?), connection, room })
    }

    async fn commit(mut self) -> Result<SqliteConnection, StoreError> {
        sqlx::query("COMMIT").execute(&mut self.connection).await.map_err(unavailable)?;
        Ok(self.connection)
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

/// Writes all of them, in their order, and answers for each.
pub(super) async fn write_together(database: &Database, writes: &[Box<dyn AnyWrite>]) -> Vec<Answered> {
    let mut answers: Vec<Option<Answered>> = writes.iter().map(|_| None).collect();
    while answers.iter().any(Option::is_none) {
        match try_together(database, writes, &mut answers).await {
            Ok(()) => break,
            Err(Broken { by: Some(write), error }) => answers[write] = Some(Err(error)),
            Err(Broken { by: None, error }) => {
                let error = Arc::new(error);
                let same = || Some(Err(StoreError::Unavailable(Box::new(Arc::clone(&error)))));
                answers.iter_mut().filter(|answer| answer.is_none()).for_each(|answer| *answer = same());
            }
        }
    }
    answers.into_iter().flatten().collect()
}

/// Why there was no commit.
struct Broken {
    /// Which write is to blame, if one is.
    by: Option<usize>,
    error: StoreError,
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self { by: None, error }
    }
}

/// One transaction for all that have no answer yet. A connection on which anything went wrong is given up, and what was
/// not committed with it.
async fn try_together(
    database: &Database,
    writes: &[Box<dyn AnyWrite>],
    answers: &mut [Option<Answered>],
) -> Result<(), Broken> {
    let connections = database.connections().await?;
    let mut place = connections.writer.lock().await;
    let connection = match place.take() {
        Some(connection) => connection,
        None => connections.connect().await?,
    };
    let mut batch = Batch::begin(connection, database.room()).await?;
    let mut written = Vec::with_capacity(writes.len());
    for (number, write) in writes.iter().enumerate() {
        if answers[number].is_some() {
            continue;
        }
        match write.write_any(&mut batch).await {
            Err(error @ StoreError::Unavailable(_)) => {
                let _rolled_back = batch.connection.close().await;
                return Err(Broken { by: Some(number), error });
            }
            answer => written.push((number, answer)),
        }
    }
    *place = Some(batch.commit().await?);
    for (number, answer) in written {
        answers[number] = Some(answer);
    }
    Ok(())
}
