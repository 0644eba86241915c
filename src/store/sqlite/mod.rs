//! The store in one SQLite file: for one machine, whose processes may share the file.
//!
//! What has been acknowledged is on disk: each commit is flushed (`synchronous=FULL`) to a write-ahead log, and all
//! writes that wait at the same moment share one commit. Readers and the writer do not hold each other up.
//!
//! The file must be on a disk of this machine: a write-ahead log works on no network file system. Beside it, SQLite
//! keeps two files, `-wal` and `-shm`, which belong to it. The space of what was forgotten is used again, and given
//! back bit by bit once a quarter of the file is free.
//!
//! ```no_run
//! use tower_respond_async::store::sqlite::{OpenError, SqliteStore};
//!
//! # async fn open() -> Result<(), OpenError> {
//! let store = SqliteStore::open("operations.db").await?;
//! # Ok(())
//! # }
//! ```
//!
//! One writes at a time. Whatever keeps the file locked for longer than a lease, such as a backup that locks it or a
//! process that is stopped in the middle of a write, keeps all replicas from being heard: what is durable is begun anew
//! then.
//!
//! Several processes may have the file open. On Linux each wakes the others when it has written, so that they know
//! within some milliseconds of what is queued or has ended there; while all are busy it may take up to a third of a
//! second. Elsewhere, and where there is no inotify instance to be had, each looks fifty times a second whether another
//! has written. Only the machine's clock counts, as SQLite reads it.

mod batch;
mod bell;
mod claim;
mod create;
mod database;
mod end;
mod finish;
mod kept;
mod lease;
mod load;
mod open;
mod read;
mod room;
mod rows;
mod sweep;
#[cfg(test)]
mod tests;
mod together;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::{CancellationToken, DropGuard};

pub use open::OpenError;

use self::{
    batch::Writer,
    claim::Queue,
    database::Database,
    room::Room,
    sweep::{Places, Sweep},
    together::write_together,
};
use super::{
    Clock, StoreError, StoreFuture,
    contract::{
        Attempt, Cancellation, Claimed, Counts, Created, Finished, LeaseId, ListFilter, Listed, Listener, NewOperation,
        OpenLease, Part, Snapshot, Store, Swept,
    },
    engine::Engine,
};
use crate::operation::{Failure, OperationId, Owner, Reply, Report};

/// So many writes share a commit at most.
const LARGEST_BATCH: usize = 512;

/// How a file is to be used. [`SqliteStore::open`] does as the defaults have it.
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteOptions {
    flush: bool,
    patience: Duration,
    room: Room,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { flush: true, patience: Duration::from_secs(5), room: Room::UNLIMITED }
    }
}

impl SqliteOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether each commit is flushed to the disk (`synchronous=FULL`) before it is acknowledged. Default: yes.
    ///
    /// Without (`synchronous=NORMAL`), a process that is killed still loses nothing, but a machine that loses power may
    /// lose the last moments before: enough where nothing but detached operations is kept, which end with their
    /// process.
    pub fn flush(mut self, flush: bool) -> Self {
        self.flush = flush;
        self
    }

    /// How long to wait for another process that writes before the store is said to be unavailable. Default: 5 seconds.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many operations are kept at most, whatever their state; another is refused with [`StoreError::Full`].
    /// Default: as many as there is room for on the disk.
    pub fn max_kept_operations(mut self, operations: u64) -> Self {
        self.room.operations = operations;
        self
    }

    /// How many bytes all kept replies have together at most. A reply that does not fit ends its operation as
    /// `reply-too-large`; so that this is rare, operations are refused with [`StoreError::Full`] before. Default: as
    /// many as there is room for on the disk.
    pub fn max_kept_bytes(mut self, bytes: u64) -> Self {
        self.room.bytes = bytes;
        self
    }

    /// Opens the file with these options. See [`SqliteStore::open`].
    ///
    /// # Errors
    ///
    /// Says why the file cannot be used.
    pub async fn open(self, path: impl Into<PathBuf>) -> Result<SqliteStore, OpenError> {
        let path = path.into();
        let engine = Engine::start("sqlite store").map_err(OpenError::Thread)?;
        let opened = engine.run(async move { Ok(Database::open(path, self).await) });
        let database = Arc::new(opened.await.map_err(|stopped| OpenError::Sqlite(stopped.into()))??);
        let written = Arc::clone(&database);
        let writer = engine.batches(LARGEST_BATCH, move |writes| {
            let database = Arc::clone(&written);
            async move { write_together(&database, &writes).await }
        });
        let unused = CancellationToken::new();
        let _until_dropped = unused.clone().drop_guard();
        Ok(SqliteStore {
            engine,
            database,
            writer: Arc::new(Writer::new(writer)),
            places: Arc::default(),
            queue: Arc::default(),
            unused,
            _until_dropped,
        })
    }
}

/// Keeps operations in one SQLite file. See the [module](self).
#[derive(Debug)]
pub struct SqliteStore {
    engine: Engine,
    database: Arc<Database>,
    writer: Arc<Writer>,
    places: Arc<Places>,
    queue: Arc<Queue>,
    unused: CancellationToken,
    _until_dropped: DropGuard,
}

impl SqliteStore {
    /// Opens the file, makes it where there is none, brings its tables up to date, and sees to it that what the
    /// [module](self) promises is in force.
    ///
    /// # Errors
    ///
    /// Says why the file cannot be used: it is no file, belongs to something else or to a newer release, cannot be
    /// written to, or cannot be set up as promised.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        SqliteOptions::new().open(path).await
    }

    fn read_with<T, F>(&self, work: impl FnOnce(sqlx::SqlitePool) -> F + Send + 'static) -> StoreFuture<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let database = Arc::clone(&self.database);
        self.engine.run(async move {
            database.load.read();
            work(database.connections().await?.readers.clone()).await
        })
    }
}

impl Store for SqliteStore {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        self.writer.write(create::Create(operation))
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        let owner = owner.cloned();
        self.read_with(async move |readers| read::read(&readers, id, owner, part).await)
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        self.writer.write(finish::Finish(attempt, reply))
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        self.writer.write(end::Cancel(id, owner.cloned()))
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        self.writer.write(end::Forget(id, owner.cloned()))
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        let owner = owner.clone();
        self.read_with(async move |readers| read::list(&readers, &owner, filter, limit).await)
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.writer.write(end::Tell(attempt, report))
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        self.writer.write(lease::Open(length, running))
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        self.writer.write(lease::Renew(lease, running))
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.writer.write(lease::Close(lease))
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        let (database, writer, queue) = (Arc::clone(&self.database), Arc::clone(&self.writer), Arc::clone(&self.queue));
        self.engine.run(async move { queue.claim(&database, &writer, claim::Claim(lease, limit)).await })
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.writer.write(end::Retry(attempt, failure))
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.writer.write(end::HandBack(attempt))
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        // SQLite asks the same clock.
        let asked = Clock::of_system().now();
        self.writer.write(Sweep { limit, places: Arc::clone(&self.places), asked })
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.read_with(async move |readers| read::counts(&readers).await)
    }

    fn announce_to(&self, listener: Listener) {
        let (database, unused) = (Arc::clone(&self.database), self.unused.clone());
        self.engine.spawn(async move {
            let _unused = unused.run_until_cancelled(watch::watch(database, listener)).await;
        });
    }
}
