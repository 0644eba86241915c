//! What other processes write. That they have written can be seen, which takes some microseconds, and a [`Bell`] says
//! when it is worth a look.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{
        StoreError,
        contract::{Change, Listener},
    },
    bell::Bell,
    database::{Database, unavailable},
    load::Rest,
};

/// How long from one look to the next at most: where there is a bell, and where there is none.
pub(super) const LOOKS: (Duration, Duration) = (Duration::from_millis(320), Duration::from_millis(20));

/// Tells the listener whenever others have written, for ever.
pub(super) async fn watch(database: Arc<Database>, listener: Listener) {
    let (mut watch, mut rest) = (Watch::new(Arc::clone(&database), LOOKS), Rest::after(&database.load));
    loop {
        if watch.has_changed().await {
            listener(Change::Anything);
        }
        watch.wait().await;
        rest.take(&database.load).await;
    }
}

/// Sees what others have written.
#[derive(Debug)]
pub(super) struct Watch {
    database: Arc<Database>,
    /// By which connection it was last, and what that said.
    seen: Option<(u64, i64)>,
    pub(super) bell: Option<Bell>,
    looks: (Duration, Duration),
}

impl Watch {
    pub(super) fn new(database: Arc<Database>, looks: (Duration, Duration)) -> Self {
        Self { database, seen: None, bell: None, looks }
    }

    /// Whether others have written since this was asked last.
    pub(super) async fn has_changed(&mut self) -> bool {
        let version = self.database.version_of_others().await.ok().flatten();
        let changed = version.is_some() && version != self.seen;
        if changed {
            // The file may be another one. Who is told of the change, is so only once there is a bell for what comes
            // after.
            if version.map(|(connection, _)| connection) != self.seen.map(|(connection, _)| connection) {
                self.bell = self.database.bell().await;
            }
            self.seen = version;
        }
        changed
    }

    /// Waits until it is worth a look again.
    pub(super) async fn wait(&mut self) {
        match &mut self.bell {
            Some(bell) => {
                if let Ok(Err(_broken)) = timeout(self.looks.0, bell.rung()).await {
                    self.bell = None;
                }
            }
            None => sleep(self.looks.1).await,
        }
    }
}

impl Database {
    /// The number of a connection, and one that changes when any other has written since it was there. `None` while
    /// there is no connection to ask.
    pub(super) async fn version_of_others(&self) -> Result<Option<(u64, i64)>, StoreError> {
        let connections = self.connections().await?;
        // What is written over this one does not count.
        let mut writer = connections.writer.lock().await;
        let Some(connection) = writer.as_mut() else { return Ok(None) };
        let began = Instant::now();
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await;
        self.load.looked(began.elapsed());
        Ok(Some((connections.writer_number(), version.map_err(unavailable)?)))
    }

    async fn bell(&self) -> Option<Bell> {
        let connections = self.connections().await.ok()?;
        let bell = Bell::of(&connections.log);
        bell.inspect_err(|error| tracing::debug!(%error, "what others write is looked for all the time")).ok()
    }
}
