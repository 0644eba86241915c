//! The connections to the file, and what becomes of them when the file goes away.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

use super::{
    super::StoreError,
    SqliteOptions,
    load::Load,
    open::{self, OpenError},
    room::Room,
    rows,
};

/// So many read at once.
const READERS: u32 = 4;

/// Above this, the log is cut once what it holds is in the file.
const LARGEST_IDLE_LOG: &str = "67108864";

/// What cannot be done now.
pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// The file at a path.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    options: SqliteOptions,
    current: Mutex<Arc<Connections>>,
    pub(super) load: Load,
}

/// The connections to one file.
#[derive(Debug)]
pub(super) struct Connections {
    file: FileIdentity,
    /// Where SQLite keeps what is written.
    pub(super) log: PathBuf,
    options: SqliteConnectOptions,
    /// The only one that writes, while it does not.
    pub(super) writer: Mutex<Option<SqliteConnection>>,
    writer_number: AtomicU64,
    pub(super) readers: SqlitePool,
}

impl Database {
    /// Opens the file, or makes it.
    pub(super) async fn open(path: PathBuf, options: SqliteOptions) -> Result<Self, OpenError> {
        let opened = Connections::open(&path, &options, true).await?;
        Ok(Self { path, options, current: Mutex::new(Arc::new(opened)), load: Load::default() })
    }

    /// How much may be kept in it.
    pub(super) fn room(&self) -> Room {
        self.options.room
    }

    /// The connections to the file that is at the path now. A file that has been removed would go on to take writes
    /// that nobody ever finds again, and is not made anew: an empty one would know nothing of what was accepted.
    pub(super) async fn connections(&self) -> Result<Arc<Connections>, StoreError> {
        let there = FileIdentity::of(&self.path).map_err(unavailable)?;
        let mut current = self.current.lock().await;
        if current.file != there {
            *current = Arc::new(Connections::open(&self.path, &self.options, false).await.map_err(unavailable)?);
        }
        Ok(Arc::clone(&current))
    }
}

impl Connections {
    async fn open(path: &Path, options: &SqliteOptions, create: bool) -> Result<Self, OpenError> {
        let SqliteOptions { flush, patience, .. } = *options;
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(patience).disable_statement_logging();
        open::prepare(path, &options, create).await?;
        let options = options
            .synchronous(if flush { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
            .pragma("journal_size_limit", LARGEST_IDLE_LOG)
            .row_buffer_size(rows::LARGEST + 1);
        let writer = options.connect().await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(patience + Duration::from_secs(1))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let readers = pool.connect_lazy_with(options.clone().pragma("query_only", "ON"));
        let file = FileIdentity::of(path).map_err(OpenError::File)?;
        let writer_number = AtomicU64::new(next_number());
        let log = log_of(path).map_err(OpenError::File)?;
        let mut opened = Self { file, log, options, writer: Mutex::new(Some(writer)), writer_number, readers };
        if let Some(writer) = opened.writer.get_mut() {
            open::audit(writer, flush).await?;
        }
        Ok(opened)
    }

    /// Another connection to write with.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        let writer = self.options.connect().await.map_err(unavailable)?;
        self.writer_number.store(next_number(), Ordering::Relaxed);
        Ok(writer)
    }

    /// Tells the connection to write with from all that were before it.
    pub(super) fn writer_number(&self) -> u64 {
        self.writer_number.load(Ordering::Relaxed)
    }
}

/// SQLite's name for it.
fn log_of(path: &Path) -> io::Result<PathBuf> {
    let mut log = path.canonicalize()?.into_os_string();
    log.push("-wal");
    Ok(log.into())
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What tells a file from one that has taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity(u64, u64);

impl FileIdentity {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let file = path.metadata()?;
        Ok(Self(file.dev(), file.ino()))
    }

    /// Where no file can be removed or replaced that is open.
    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        path.metadata().map(|_| Self(0, 0))
    }
}
