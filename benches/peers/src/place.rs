//! A place for one store, and what its engine says of it.

use std::path::PathBuf;

use redis::{Client, aio::MultiplexedConnection};
use sqlx::{AssertSqlSafe, PgPool, Row, SqlitePool, postgres::PgConnectOptions, sqlite::SqliteConnectOptions};
use tower_respond_async::{
    OperationsBuilder,
    store::{postgres::PostgresStore, redis::RedisStore, sqlite::SqliteStore},
};

use crate::{round_trips::RoundTrips, servers::postgres::Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    Redis,
    Sqlite,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::Sqlite];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
            Self::Sqlite => "SQLite",
        }
    }
}

pub(crate) enum Place {
    Postgres { pool: PgPool, prefix: String, round_trips: RoundTrips },
    Redis { url: String, connection: MultiplexedConnection, prefix: String },
    Sqlite { path: PathBuf, pool: SqlitePool },
}

impl Place {
    pub(crate) async fn postgres(server: &Server) -> Self {
        Self::postgres_at(server.options(), server.prefix(), RoundTrips::default()).await
    }

    /// The same, on the way to which round trips are counted.
    pub(crate) async fn counting(server: &Server) -> Self {
        let (round_trips, options) = RoundTrips::on_the_way_to(server.options());
        Self::postgres_at(options, server.prefix(), round_trips).await
    }

    async fn postgres_at(options: PgConnectOptions, prefix: String, round_trips: RoundTrips) -> Self {
        let pool = PgPool::connect_with(options).await.unwrap();
        PostgresStore::with_pool(&pool).table_prefix(&prefix).migrate().await.unwrap();
        Self::Postgres { pool, prefix, round_trips }
    }

    pub(crate) async fn redis(url: &str, number: u32) -> Self {
        let connection = Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        Self::Redis { url: url.to_owned(), connection, prefix: format!("peers{number}") }
    }

    pub(crate) async fn sqlite(path: PathBuf) -> Self {
        drop(SqliteStore::open(&path).await.unwrap());
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path)).await.unwrap();
        Self::Sqlite { path, pool }
    }

    /// Has the operations live here.
    pub(crate) async fn hold(&self, builder: OperationsBuilder) -> OperationsBuilder {
        match self {
            Self::Postgres { pool, prefix, .. } => {
                builder.store(PostgresStore::with_pool(pool).table_prefix(prefix).connect().await.unwrap())
            }
            Self::Redis { url, prefix, .. } => {
                builder.store(RedisStore::builder(url).prefix(prefix).open().await.unwrap())
            }
            Self::Sqlite { path, .. } => builder.store(SqliteStore::open(path).await.unwrap()),
        }
    }

    /// How many operations have ended here.
    pub(crate) async fn ended(&self) -> usize {
        let ended = match self {
            Self::Postgres { .. } => self.number("SELECT count(*) FROM {p}ended").await,
            Self::Redis { connection, prefix, .. } => {
                let counts = format!("{{{prefix}}}:counts");
                let mut hget = redis::cmd("HGET");
                let ended: Option<i64> =
                    hget.arg(counts).arg("succeeded").query_async(&mut connection.clone()).await.unwrap();
                ended.unwrap_or(0)
            }
            Self::Sqlite { .. } => self.number("SELECT count(*) FROM replies").await,
        };
        usize::try_from(ended).unwrap()
    }

    /// How many bytes the engine uses for what is here, or for everything where it does not tell it apart.
    pub(crate) async fn bytes(&self) -> i64 {
        match self {
            Self::Postgres { .. } => {
                self.number("SELECT pg_total_relation_size('{p}ended') + pg_total_relation_size('{p}keys')").await
            }
            Self::Redis { .. } => self.info("memory", "used_memory:").await,
            Self::Sqlite { .. } => {
                self.number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").await
            }
        }
    }

    /// How often the engine was asked to do something: by whoever came [this way](Self::counting), or by everybody to
    /// run a script.
    pub(crate) async fn round_trips(&self) -> i64 {
        match self {
            Self::Postgres { round_trips, .. } => round_trips.number(),
            Self::Redis { .. } => {
                let stats = self.text("commandstats").await;
                let of = |command: &str| {
                    let calls = stats.split(command).nth(1)?.split_once("calls=")?.1.split(',').next()?;
                    calls.parse::<i64>().ok()
                };
                ["cmdstat_evalsha:", "cmdstat_eval:"].into_iter().filter_map(of).sum()
            }
            Self::Sqlite { .. } => 0,
        }
    }

    /// A number that a statement gives, in whose text `{p}` stands for the prefix.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        match self {
            Self::Postgres { pool, prefix, .. } => {
                let statement = AssertSqlSafe(statement.replace("{p}", prefix));
                sqlx::query(statement).fetch_one(pool).await.unwrap().get(0)
            }
            Self::Sqlite { pool, .. } => {
                sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_one(pool).await.unwrap().get(0)
            }
            Self::Redis { .. } => unreachable!("it has no statements"),
        }
    }

    async fn info(&self, section: &str, field: &str) -> i64 {
        let text = self.text(section).await;
        text.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().parse().unwrap()
    }

    async fn text(&self, section: &str) -> String {
        let Self::Redis { connection, .. } = self else { unreachable!("only Redis has it") };
        redis::cmd("INFO").arg(section).query_async(&mut connection.clone()).await.unwrap()
    }
}
