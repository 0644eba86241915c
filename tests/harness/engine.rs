//! What keeps the operations: a file, or a server that can be killed.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    link::{Link, Upstream},
    postgres, redis,
};

#[derive(Debug)]
pub(crate) enum Engine {
    Sqlite(PathBuf),
    Postgres(postgres::Server),
    Redis(redis::Server),
}

impl Engine {
    pub(crate) fn start(store: &str, folder: &Path) -> Self {
        match store {
            "sqlite" => Self::Sqlite(folder.join("operations.db")),
            "postgres" => Self::Postgres(postgres::Server::start()),
            _ => Self::Redis(redis::Server::start(&[])),
        }
    }

    /// A line to it. None where there is no such thing.
    pub(crate) async fn link(&self) -> Option<Link> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(server) => Some(Link::to(Upstream::Socket(server.socket())).await),
            Self::Redis(server) => Some(Link::to(Upstream::Port(server.port())).await),
        }
    }

    /// What a replica is told to use.
    pub(crate) fn location(&self, link: Option<&Link>) -> String {
        match (self, link) {
            (Self::Postgres(_), Some(Link { address, .. })) => {
                format!("postgres://test@{address}/postgres?sslmode=disable")
            }
            (Self::Redis(_), Some(Link { address, .. })) => format!("redis://{address}/"),
            (Self::Sqlite(file), _) => format!("sqlite:{}", file.display()),
            (_, None) => unreachable!("a server has a line to it"),
        }
    }

    /// Locks the file, so that it can be read only.
    pub(crate) fn lock(&self) -> impl Future<Output = Option<SqliteConnection>> + use<> {
        let file = match self {
            Self::Sqlite(file) => Some(file.clone()),
            Self::Postgres(_) | Self::Redis(_) => None,
        };
        async move {
            let mut connection = SqliteConnectOptions::new().filename(file?).connect().await.unwrap();
            // It waits its turn.
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.ok()?;
            Some(connection)
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(server) => server.kill(),
            Self::Redis(server) => server.kill(),
        }
    }

    pub(crate) fn restart(&mut self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(server) => server.restart(),
            Self::Redis(server) => server.restart(),
        }
    }
}
