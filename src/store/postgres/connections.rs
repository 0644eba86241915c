//! The connections, as many as are needed and may be. A pool of sqlx asks each that comes back to it whether it is
//! sound, which is one more message for each statement; here one is asked that was not of use for a while, before it is
//! used.

use std::{
    io::ErrorKind,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};

use super::{database::has_code, prepared::Prepared};

/// A connection that was idle for so long is tried before it is used; it has little time to answer.
const STALE: Duration = Duration::from_secs(1);
const TRIED_FOR: Duration = Duration::from_secs(1);

/// What was idle for so long, or has lived for so long, is closed once another is given back.
const IDLE: Duration = Duration::from_secs(60);
const OLD: Duration = Duration::from_secs(30 * 60);

/// How long to wait at most for a server that starts, and how long to leave it alone before it is tried again.
const STARTS: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Connections {
    options: PgConnectOptions,
    /// What each session is told.
    prepared: Option<Arc<Prepared>>,
    /// The one that was used last is the last.
    idle: Mutex<Vec<Idle>>,
    free: Semaphore,
    patience: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    opened: Instant,
    used: Instant,
}

/// A connection in use. Dropped, it is closed, as it may be in the middle of anything.
pub(super) struct InUse<'a> {
    connection: PgConnection,
    opened: Instant,
    of: &'a Connections,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    /// At most so many, for which one waits so long.
    pub(super) fn new(
        most: usize,
        patience: Duration,
        options: PgConnectOptions,
        prepared: Option<Arc<Prepared>>,
    ) -> Self {
        Self { options, prepared, idle: Mutex::default(), free: Semaphore::new(most), patience }
    }

    pub(super) async fn acquire(&self) -> Result<InUse<'_>, sqlx::Error> {
        timeout(self.patience, self.take()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn take(&self) -> Result<InUse<'_>, sqlx::Error> {
        let permit = self.free.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let (connection, opened) = match self.idle().await {
            Some(Idle { connection, opened, .. }) => (connection, opened),
            None => (self.open().await?, Instant::now()),
        };
        Ok(InUse { connection, opened, of: self, _permit: permit })
    }

    /// The one that was used last, if it is sound. If not, those that were used before are not likely to be.
    async fn idle(&self) -> Option<Idle> {
        let mut latest = self.lock().pop()?;
        let tried_for = TRIED_FOR.min(self.patience / 4);
        if latest.used.elapsed() >= STALE && !matches!(timeout(tried_for, latest.connection.ping()).await, Ok(Ok(()))) {
            self.forget();
            return None;
        }
        Some(latest)
    }

    /// Uses none of those again that are idle now.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// Opens one, even if the server is only about to start.
    async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let began = Instant::now();
        loop {
            match self.try_to_open().await {
                Err(error) if starts(&error) && began.elapsed() < STARTS => sleep(PAUSE).await,
                opened => return opened,
            }
        }
    }

    async fn try_to_open(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        if let Some(prepared) = &self.prepared {
            prepared.tell(&mut connection).await?;
        }
        Ok(connection)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InUse<'_> {
    /// Has it used again: whatever was asked over it has been answered.
    pub(super) fn give_back(self) {
        let Self { connection, opened, of, _permit } = self;
        let mut idle = of.lock();
        if opened.elapsed() < OLD {
            idle.push(Idle { connection, opened, used: Instant::now() });
        }
        idle.retain(|idle| idle.used.elapsed() < IDLE);
    }
}

/// Whether a server may be there in a moment that is not now.
fn starts(error: &sqlx::Error) -> bool {
    let is_refused = matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused);
    is_refused || has_code(error, &["57P03"])
}

impl Deref for InUse<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
