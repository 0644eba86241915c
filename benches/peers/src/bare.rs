//! What a store's engine does by itself: a commit, a look at a row.

use redis::aio::MultiplexedConnection;
use sqlx::{
    ConnectOptions, Connection, PgConnection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    place::{Engine, Place},
    servers::Servers,
};

pub(crate) enum Bare {
    Postgres(PgConnection),
    Redis(MultiplexedConnection),
    Sqlite(SqliteConnection),
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS bare (id integer PRIMARY KEY, text text)";
const ROW: &str = "INSERT INTO bare VALUES (0, 'done') ON CONFLICT DO NOTHING";
const COMMIT: &str = "INSERT INTO bare VALUES ($1, 'done')";
const LOOK: &str = "SELECT text FROM bare WHERE id = 0";

impl Bare {
    pub(crate) async fn of(servers: &Servers, place: &Place) -> Self {
        let bare = match place {
            Place::Postgres { .. } => {
                let mut connection = servers.postgres.options().connect().await.unwrap();
                sqlx::raw_sql("DROP TABLE IF EXISTS bare").execute(&mut connection).await.unwrap();
                sqlx::raw_sql(TABLE).execute(&mut connection).await.unwrap();
                sqlx::raw_sql(ROW).execute(&mut connection).await.unwrap();
                Self::Postgres(connection)
            }
            Place::Redis { connection, .. } => Self::Redis(connection.clone()),
            Place::Sqlite { path, .. } => {
                let options = SqliteConnectOptions::new()
                    .filename(path.with_extension("bare"))
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::raw_sql(TABLE).execute(&mut connection).await.unwrap();
                sqlx::raw_sql(ROW).execute(&mut connection).await.unwrap();
                Self::Sqlite(connection)
            }
        };
        bare
    }

    pub(crate) fn look_name(engine: Engine) -> &'static str {
        if engine == Engine::Redis { "a GET" } else { "a SELECT" }
    }

    pub(crate) async fn commit(&mut self, number: i32) {
        match self {
            Self::Postgres(connection) => {
                _ = sqlx::query(COMMIT).bind(number).execute(connection).await.unwrap();
            }
            Self::Redis(connection) => redis::cmd("SET").arg("bare").arg(number).exec_async(connection).await.unwrap(),
            Self::Sqlite(connection) => {
                _ = sqlx::query(COMMIT).bind(number).execute(connection).await.unwrap();
            }
        }
    }

    pub(crate) async fn look(&mut self) {
        match self {
            Self::Postgres(connection) => _ = sqlx::query(LOOK).fetch_optional(connection).await.unwrap(),
            Self::Redis(connection) => redis::cmd("GET").arg("bare").exec_async(connection).await.unwrap(),
            Self::Sqlite(connection) => _ = sqlx::query(LOOK).fetch_optional(connection).await.unwrap(),
        }
    }
}
