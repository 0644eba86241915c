//! Whether a file can be used, and making it so.

use std::{io, path::Path, time::Duration};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::time::{Instant, sleep};

/// Marks a file as this crate's: "TRAO".
const APPLICATION: i64 = 0x5452_414F;

/// What leads from each version of the tables to the next.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// How long others may keep a new file from being set up, which SQLite does not wait for by itself.
const SETTING_UP: Duration = Duration::from_secs(5);

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is a name by which SQLite keeps a database in memory, where it would be lost with the process.
    #[error("not the path of a file")]
    InMemory,
    /// It is no SQLite database, or one that something else has made.
    #[error("the file is not a store of operations")]
    Foreign,
    /// A newer release of this crate has brought it up to its own version.
    #[error("the file's tables are of version {found}, and this release knows them up to version {known}")]
    Newer {
        /// The version of the file's tables.
        found: i64,
        /// The latest version that this release knows.
        known: i64,
    },
    /// It, or its folder, cannot be written to.
    #[error("the file cannot be written to")]
    ReadOnly,
    /// Something that was promised is not in force.
    #[error("SQLite's {setting} is {found} where it has to be {wanted}")]
    Setting {
        /// The name of the pragma.
        setting: &'static str,
        /// What is in force.
        found: String,
        /// What was promised.
        wanted: &'static str,
    },
    /// It cannot be found.
    #[error("the file cannot be found")]
    File(#[source] io::Error),
    /// There is no thread to be had for it.
    #[error("no thread for the store")]
    Thread(#[source] io::Error),
    /// SQLite cannot open or read it, or not now.
    #[error("SQLite cannot use the file")]
    Sqlite(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        match primary_code(&error) {
            Some(READ_ONLY) => Self::ReadOnly,
            Some(NOT_A_DATABASE) => Self::Foreign,
            _ => Self::Sqlite(error.into()),
        }
    }
}

const BUSY: u32 = 5;
const READ_ONLY: u32 = 8;
const NOT_A_DATABASE: u32 = 26;

fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Sees whether the file is one of ours, or new, and brings its tables up to date.
pub(super) async fn prepare(path: &Path, options: &SqliteConnectOptions, create: bool) -> Result<(), OpenError> {
    let name = path.to_string_lossy();
    if name.is_empty() || name == ":memory:" || name.starts_with("file:") {
        return Err(OpenError::InMemory);
    }
    let mut connection = options.clone().create_if_missing(create).connect().await?;
    if is_new(&mut connection).await? {
        sqlx::query("PRAGMA auto_vacuum = INCREMENTAL").execute(&mut connection).await?;
    }
    keep_a_log(&mut connection).await?;
    migrate(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Whether there is nothing in the file; an error where there is what is not for us.
async fn is_new(connection: &mut SqliteConnection) -> Result<bool, OpenError> {
    // In one statement: another process may be setting it up.
    let question = "SELECT application_id, user_version + (SELECT count(*) FROM sqlite_schema) \
                    FROM pragma_application_id, pragma_user_version";
    match sqlx::query_as::<_, (i64, i64)>(question).fetch_one(connection).await? {
        (APPLICATION, _) => Ok(false),
        (0, 0) => Ok(true),
        _ => Err(OpenError::Foreign),
    }
}

/// The version of the file's tables, where this release knows it.
async fn version(connection: &mut SqliteConnection) -> Result<i64, OpenError> {
    let (found, known) = (number(connection, "PRAGMA user_version").await?, MIGRATIONS.len() as i64);
    if found <= known { Ok(found) } else { Err(OpenError::Newer { found, known }) }
}

async fn keep_a_log(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let deadline = Instant::now() + SETTING_UP;
    loop {
        match text(connection, "PRAGMA journal_mode = WAL").await {
            // The answer is the mode in force, which the audit looks at.
            Ok(_mode) => return Ok(()),
            Err(error) if primary_code(&error) == Some(BUSY) && Instant::now() < deadline => {
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes even where there is nothing to bring up to date, and so finds out whether that is possible.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let version = version(connection).await?;
    let missing = MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default());
    for migration in missing {
        sqlx::raw_sql(*migration).execute(&mut *connection).await?;
    }
    let mark = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {}", MIGRATIONS.len());
    sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(())
}

/// Sees whether what is promised is in force on a connection that writes.
pub(super) async fn audit(connection: &mut SqliteConnection, flush: bool) -> Result<(), OpenError> {
    let expected = [
        ("journal_mode", "PRAGMA journal_mode", "wal"),
        ("synchronous", "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous", if flush { "2" } else { "1" }),
    ];
    for (setting, question, wanted) in expected {
        let found = text(connection, question).await?;
        if found != wanted {
            return Err(OpenError::Setting { setting, found, wanted });
        }
    }
    if number(connection, "PRAGMA auto_vacuum").await? != 2 {
        tracing::warn!("auto_vacuum is not incremental: the store's file never becomes smaller");
    }
    Ok(())
}

async fn number(connection: &mut SqliteConnection, question: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(question).fetch_one(connection).await
}

async fn text(connection: &mut SqliteConnection, question: &'static str) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(question).fetch_one(connection).await
}
