//! What other processes write. Nobody tells of it, but that they have written can be seen, which takes some microseconds.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    super::{
        StoreError,
        contract::{Change, Listener},
    },
    database::{Database, unavailable},
};

/// How long from one look to the next: at least, and at most while others write all the time, so that those who hear of it
/// do not ask all the time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(320));

/// Tells the listener whenever others have written, for ever.
pub(super) async fn watch(database: Arc<Database>, listener: Listener) {
    let (mut seen, mut pause) = (None, PAUSE.0);
    loop {
        let version = database.version_of_others().await.ok().flatten();
        if version.is_some() && version != seen {
            seen = version;
            listener(Change::Anything);
            pause = (pause * 2).min(PAUSE.1);
        } else {
            pause = PAUSE.0;
        }
        sleep(pause).await;
    }
}

impl Database {
    /// The number of a connection, and one that changes when any other has written since it was there. `None` while there is
    /// no connection to ask.
    pub(super) async fn version_of_others(&self) -> Result<Option<(u64, i64)>, StoreError> {
        let connections = self.connections().await?;
        // What is written over this one does not count.
        let mut writer = connections.writer.lock().await;
        let Some(connection) = writer.as_mut() else { return Ok(None) };
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await.map_err(unavailable)?;
        Ok(Some((connections.writer_number(), version)))
    }
}
