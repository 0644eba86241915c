//! The stores of the tests: each test has one of its own, in a server that all tests of a run share.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, ChildStdin, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tower_respond_async::store::{
    MemoryStore, Store,
    postgres::{PostgresBuilder, PostgresStore},
    redis::RedisStore,
    sqlite::SqliteStore,
};

use crate::{postgres, redis};

/// Where operations can live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// In the memory of one replica: no other store was chosen.
    Own,
    /// In memory that the replicas share.
    Memory,
    Sqlite,
    Postgres,
    Redis,
}

/// Where the operations of one test live.
#[derive(Debug)]
pub(crate) enum Place {
    Own,
    Memory(Arc<MemoryStore>),
    Sqlite(Folder),
    Postgres(Box<PostgresBuilder>),
    Redis { url: String, prefix: String },
}

/// A folder that goes with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Engine {
    pub(crate) async fn place(self) -> Place {
        match self {
            Self::Own => Place::Own,
            Self::Memory => Place::Memory(Arc::new(MemoryStore::new())),
            Self::Sqlite => Place::Sqlite(Folder::new()),
            Self::Postgres => {
                static SERVER: OnceLock<postgres::Server> = OnceLock::new();
                Place::in_postgres(SERVER.get_or_init(postgres::Server::start)).await
            }
            Self::Redis => {
                static SERVER: OnceLock<(redis::Server, ChildStdin)> = OnceLock::new();
                let (server, _guard) = SERVER.get_or_init(|| {
                    let server = redis::Server::start(&[]);
                    let guard = guard(&server);
                    (server, guard)
                });
                Place::in_redis(server)
            }
        }
    }
}

impl Place {
    pub(crate) async fn in_postgres(server: &postgres::Server) -> Self {
        let builder = PostgresStore::with_pool(&sqlx::PgPool::connect_lazy_with(server.options()));
        let builder = builder.table_prefix(server.prefix());
        builder.migrate().await.unwrap();
        Self::Postgres(Box::new(builder))
    }

    pub(crate) fn in_redis(server: &redis::Server) -> Self {
        Self::Redis { url: server.url(), prefix: format!("test-{}", number()) }
    }

    /// One replica's way to it. `None` where there is none but its own memory.
    pub(crate) async fn open(&self) -> Option<Arc<dyn Store>> {
        Some(match self {
            Self::Own => return None,
            Self::Memory(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Sqlite(folder) => Arc::new(SqliteStore::open(folder.file()).await.unwrap()),
            Self::Postgres(builder) => Arc::new((**builder).clone().connect().await.unwrap()),
            Self::Redis { url, prefix } => Arc::new(RedisStore::builder(url).prefix(prefix).open().await.unwrap()),
        })
    }

    /// Whether a replica hears at once of what the others do.
    pub(crate) fn announces(&self) -> bool {
        !matches!(self, Self::Sqlite(_))
    }
}

impl Folder {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("respond-async-replicas-{}-{}", process::id(), number()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("operations.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// Ends a server that nobody drops once this process ends, however that ends, and with it the input of what waits for
/// it.
#[allow(clippy::zombie_processes, reason = "it outlives this process")]
fn guard(server: &redis::Server) -> ChildStdin {
    let (id, folder) = server.remains();
    let waiting = Command::new("sh")
        .args(["-c", r#"trap '' INT; cat >/dev/null; kill -9 "$0"; rm -rf "$1""#])
        .arg(id.to_string())
        .arg(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    waiting.stdin.expect("it is piped")
}

fn number() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// Runs each of these tests of the module for each of these engines.
macro_rules! on {
    ([$($module:ident = $engine:ident),+] $tests:tt) => {
        $(crate::engines::on!(@ $module $engine $tests);)+
    };
    (@ $module:ident $engine:ident { $($test:ident)+ }) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let place = crate::engines::Engine::$engine.place().await;
                    super::$test(&crate::stage::Stage::at(place)).await;
                }
            )+
        }
    };
}

macro_rules! on_every_store {
    ($($test:ident)+) => {
        crate::engines::on!([own = Own, memory = Memory, sqlite = Sqlite, postgres = Postgres, redis = Redis] { $($test)+ });
    };
}

macro_rules! on_every_shared_store {
    ($($test:ident)+) => {
        crate::engines::on!([memory = Memory, sqlite = Sqlite, postgres = Postgres, redis = Redis] { $($test)+ });
    };
}

pub(crate) use {on, on_every_shared_store, on_every_store};
