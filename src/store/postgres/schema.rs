//! The tables: made by one call or by hand, of one version at a time.

use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

use super::{PostgresError, database::sound, literal::render};

/// The version that this release reads and writes.
pub(super) const VERSION: i32 = 1;

const SCHEMA: &str = include_str!("schema.sql");

const EXISTS: &str = "SELECT to_regclass('{p}schema') IS NOT NULL";

const LATEST: &str = "SELECT max(version) FROM {p}schema";

/// What makes the tables, as SQL.
pub(super) fn migrations(prefix: &str) -> String {
    render(SCHEMA, prefix, &[])
}

/// Makes the tables if they are not there. All of it or nothing happens.
pub(super) async fn migrate(options: PgConnectOptions, prefix: &str) -> Result<(), PostgresError> {
    let mut connection = sqlx::ConnectOptions::connect(&sound(options)).await.map_err(database)?;
    let found = version(&mut connection, prefix).await?;
    if found.is_none_or(|found| found < VERSION) {
        let script = format!("BEGIN;\n{}\nCOMMIT;", migrations(prefix));
        sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut connection).await.map_err(database)?;
    }
    check(version(&mut connection, prefix).await?)?;
    connection.close().await.map_err(database)
}

/// Says what is wrong with a version.
pub(super) fn check(version: Option<i32>) -> Result<(), PostgresError> {
    match version {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(PostgresError::Newer { found, known: VERSION }),
        _ => Err(PostgresError::NotMigrated),
    }
}

/// The version of the tables that are there.
pub(super) async fn version(connection: &mut PgConnection, prefix: &str) -> Result<Option<i32>, PostgresError> {
    let exists = first(connection, render(EXISTS, prefix, &[])).await?;
    if !exists.try_get::<bool, _>(0).map_err(database)? {
        return Ok(None);
    }
    first(connection, render(LATEST, prefix, &[])).await?.try_get(0).map_err(database)
}

pub(super) async fn first(
    connection: &mut PgConnection,
    statement: String,
) -> Result<sqlx::postgres::PgRow, PostgresError> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).fetch_one(connection).await.map_err(database)
}

pub(super) fn database(error: impl std::error::Error + Send + Sync + 'static) -> PostgresError {
    PostgresError::Database(Box::new(error))
}
