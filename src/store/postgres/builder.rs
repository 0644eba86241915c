//! How a store is set up.

use std::time::Duration;

use sqlx::{ConnectOptions, PgPool, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::{
    PostgresError, PostgresStore,
    audit::audit,
    database::sound,
    schema::{self, database},
};

/// How a [`PostgresStore`] is set up: by [`PostgresStore::at`] or [`PostgresStore::with_pool`].
#[derive(Clone, Debug)]
pub struct PostgresBuilder {
    pub(super) options: PgConnectOptions,
    pub(super) listening: Option<PgConnectOptions>,
    pub(super) prefix: String,
    pub(super) announcements: bool,
    pub(super) connections: u32,
    pub(super) patience: Duration,
    weaker: bool,
}

impl PostgresBuilder {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self {
            options,
            listening: None,
            prefix: "respond_async_".to_owned(),
            announcements: true,
            connections: 8,
            patience: Duration::from_secs(10),
            weaker: false,
        }
    }

    pub(super) fn from_pool(pool: &PgPool) -> Self {
        Self::new((*pool.connect_options()).clone())
    }

    /// What the names of the tables begin with; `respond_async_` unless told otherwise. Stores with different prefixes
    /// share a database and nothing else.
    #[must_use]
    pub fn table_prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Whether changes are announced by `NOTIFY` and heard by `LISTEN`, on by default: what another replica does is
    /// then known at once, and not only when it is next asked for. Everything works without.
    ///
    /// Listening takes a connection to the server itself, as transaction-pooling proxies do not pass notifications on:
    /// see [`listen_on`](Self::listen_on). All that notify on a server stand in one line; what is announced here
    /// does not wait for the disk there. What others who do hold up for a tenth of a second is not announced, but found
    /// by asking.
    #[must_use]
    pub fn announcements(self, announcements: bool) -> Self {
        Self { announcements, ..self }
    }

    /// How to reach the server itself to listen, where all else goes through a proxy that pools transactions.
    #[must_use]
    pub fn listen_on(self, options: PgConnectOptions) -> Self {
        Self { listening: Some(options), ..self }
    }

    /// How many connections the store opens at most, besides the one that listens and one for heartbeats (up to four
    /// while the server does not answer): 8 unless told otherwise.
    #[must_use]
    pub fn connections(self, connections: u32) -> Self {
        Self { connections: connections.max(1), ..self }
    }

    /// How long a statement may take before the store counts as unavailable: ten seconds unless told otherwise. No
    /// method takes longer than a few times this; what was asked for may be done all the same.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether a server will do that may lose in a crash what it has committed: one whose `fsync`, `full_page_writes`
    /// or `synchronous_commit` is off. It is warned of then, and otherwise refused.
    #[must_use]
    pub fn weaker_durability(self, weaker: bool) -> Self {
        Self { weaker, ..self }
    }

    /// Makes the tables, where they are not there. Replicas may do so at the same time, and as often as they like.
    /// [`PostgresStore::migrations`] has the same as SQL.
    ///
    /// # Errors
    ///
    /// Says so where the database cannot be reached, the prefix is none, or the tables are those of a newer release.
    /// Nothing has changed then.
    pub async fn migrate(&self) -> Result<(), PostgresError> {
        check_prefix(&self.prefix)?;
        self.in_time(schema::migrate(self.options.clone(), &self.prefix)).await
    }

    /// Opens the store, once the server's settings and the version of the tables have been found to be right.
    ///
    /// # Errors
    ///
    /// Says what is wrong, by name.
    pub async fn connect(self) -> Result<PostgresStore, PostgresError> {
        check_prefix(&self.prefix)?;
        self.in_time(self.check()).await?;
        PostgresStore::start(self).await
    }

    async fn check(&self) -> Result<(), PostgresError> {
        let mut connection = sound(self.options.clone()).connect().await.map_err(database)?;
        audit(&mut connection, self.weaker).await?;
        schema::check(schema::version(&mut connection, &self.prefix).await?)?;
        sqlx::Connection::close(connection).await.map_err(database)
    }

    async fn in_time(&self, work: impl Future<Output = Result<(), PostgresError>>) -> Result<(), PostgresError> {
        timeout(self.patience, work).await.unwrap_or_else(|late| Err(database(late)))
    }
}

pub(super) fn check_prefix(prefix: &str) -> Result<(), PostgresError> {
    let begins = prefix.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let goes_on = prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    match begins && goes_on && prefix.len() <= 40 {
        true => Ok(()),
        false => Err(PostgresError::Prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_an_identifier() {
        for prefix in ["a", "_x9_", "respond_async_"] {
            assert!(check_prefix(prefix).is_ok(), "{prefix}");
        }
        for prefix in ["", "9a", "A", "a.b", "a\"", "a'b", "a b", "ä", &"a".repeat(41)] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
    }
}
