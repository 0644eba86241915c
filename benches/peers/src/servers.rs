//! The servers, which run as children for as long as the benchmark does, with data of their own.

#[path = "../../../tests/support/postgres.rs"]
pub(crate) mod postgres;
#[allow(dead_code)]
#[path = "../../../tests/stores/redis/server.rs"]
pub(crate) mod redis;

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::place::{Engine, Place};

pub(crate) struct Servers {
    /// With fsync and synchronous_commit, as they are by default.
    pub(crate) postgres: postgres::Server,
    /// With `appendfsync everysec`, as is usual, unless it is to flush for each answer.
    pub(crate) redis: redis::Server,
    folder: PathBuf,
    places: AtomicU32,
}

impl Servers {
    pub(crate) fn start(flushes_each: bool) -> Self {
        let fsync = if flushes_each { "always" } else { "everysec" };
        let folder = env::temp_dir().join(format!("respond-async-peers-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        Self {
            postgres: postgres::Server::start(),
            redis: redis::Server::start(&["--appendfsync", fsync]),
            folder,
            places: AtomicU32::new(0),
        }
    }

    /// Room for a store of its own.
    pub(crate) async fn place(&self, engine: Engine) -> Place {
        let number = self.places.fetch_add(1, Ordering::Relaxed);
        match engine {
            Engine::Postgres => Place::postgres(&self.postgres).await,
            Engine::Redis => Place::redis(&self.redis.url(), number).await,
            Engine::Sqlite => Place::sqlite(self.folder.join(format!("{number}.db"))).await,
        }
    }

    /// The same, on the way to which round trips are counted.
    pub(crate) async fn counting(&self, engine: Engine) -> Place {
        match engine {
            Engine::Postgres => Place::counting(&self.postgres).await,
            Engine::Redis | Engine::Sqlite => self.place(engine).await,
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.folder);
    }
}
