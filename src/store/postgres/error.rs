//! Why a database cannot be the store.

/// Why a database cannot be used as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// It cannot be reached, or did not do what it was asked for.
    #[error("the database cannot be reached, or refused a statement")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its address is not a URL that the driver understands.
    #[error("the database's URL is not understood")]
    Url(#[source] sqlx::Error),
    /// A prefix begins with a lower-case letter or `_`, goes on with these and digits, and has at most 40 characters.
    #[error(
        "not a prefix for tables: it begins with a lower-case letter or _, goes on with these and digits, and has at most 40 characters"
    )]
    Prefix,
    /// The thread of the store could not be started.
    #[error("the store's thread could not be started")]
    Thread(#[source] std::io::Error),
    /// There are no tables of this prefix: [`migrate`](super::PostgresBuilder::migrate) makes them.
    #[error("the database has no tables for the store: migrate it first")]
    NotMigrated,
    /// The tables are those of a newer release.
    #[error("the tables are of version {found}, and this release knows none after {known}")]
    Newer {
        /// The version of the tables.
        found: i32,
        /// The last that this release knows.
        known: i32,
    },
    /// The server is set up so that what the store promises does not hold.
    #[error("the server's {setting} is {found}, where the store needs {needed}")]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        needed: &'static str,
    },
}
