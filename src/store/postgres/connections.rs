//! Which connection is used next. A pool asks each that comes back to it whether it is sound, one more message for each
//! statement; so what was of use a moment ago is kept at hand and used again as it is.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// A connection that was idle for so long is tried before it is used.
const STALE: Duration = Duration::from_secs(1);

/// For so long a connection is kept from the pool, which may find that it has lived long enough.
const KEPT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Connections {
    pool: PgPool,
    at_hand: Mutex<Vec<AtHand>>,
    /// As many as the pool has: who has one finds a connection either at hand or in the pool.
    free: Semaphore,
    patience: Duration,
    runtime: Handle,
}

#[derive(Debug)]
struct AtHand {
    connection: PoolConnection<Postgres>,
    since: Instant,
    used: Instant,
}

/// A connection in use. Dropped, it goes back to the pool, which finds out what state it is in.
pub(super) struct InUse<'a> {
    connection: PoolConnection<Postgres>,
    since: Instant,
    _free: SemaphorePermit<'a>,
}

impl Connections {
    /// At most so many, opened when they are used first, on the runtime that is current now. `prepare` says more of how.
    pub(super) fn new(
        most: u32,
        patience: Duration,
        options: PgConnectOptions,
        prepare: impl FnOnce(PgPoolOptions) -> PgPoolOptions,
    ) -> Self {
        let pool = PgPoolOptions::new().max_connections(most).acquire_timeout(patience / 2).test_before_acquire(false);
        let pool = prepare(pool).before_acquire(|connection, idle| {
            Box::pin(async move {
                if idle.idle_for > STALE {
                    sqlx::Connection::ping(connection).await?;
                }
                Ok(true)
            })
        });
        let free = Semaphore::new(usize::try_from(most).unwrap_or(usize::MAX >> 3));
        Self {
            pool: pool.connect_lazy_with(options),
            at_hand: Mutex::default(),
            free,
            patience: patience / 2,
            runtime: Handle::current(),
        }
    }

    pub(super) async fn acquire(&self) -> Result<InUse<'_>, sqlx::Error> {
        let free = timeout(self.patience, self.free.acquire()).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let _free = free.map_err(|_| sqlx::Error::PoolClosed)?;
        if let Some(AtHand { connection, since, .. }) = self.take() {
            return Ok(InUse { connection, since, _free });
        }
        Ok(InUse { connection: self.pool.acquire().await?, since: Instant::now(), _free })
    }

    /// Takes back what is known to be sound.
    pub(super) fn give_back(&self, InUse { connection, since, _free }: InUse<'_>) {
        if since.elapsed() < KEPT {
            self.at_hand().push(AtHand { connection, since, used: Instant::now() });
        }
    }

    /// The one that was used last. Those that were not for a while go back to the pool.
    fn take(&self) -> Option<AtHand> {
        let mut at_hand = self.at_hand();
        at_hand.retain(|connection| connection.used.elapsed() < STALE);
        at_hand.pop()
    }

    fn at_hand(&self) -> std::sync::MutexGuard<'_, Vec<AtHand>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Going back to the pool takes a runtime, and this may be dropped where there is none.
        let _runtime = self.runtime.enter();
        self.at_hand().clear();
    }
}

impl InUse<'_> {
    /// Has it closed, whatever it is in.
    pub(super) fn close(mut self) {
        self.connection.close_on_drop();
    }
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
