//! Whether the server keeps what the store promises.

use sqlx::{PgConnection, Row};

use super::{
    PostgresError,
    schema::{database, first},
};

const SETTINGS: &str = "
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
    current_setting('default_transaction_isolation'), current_setting('default_transaction_read_only'),
    pg_is_in_recovery()::text, current_setting('server_version_num')::int >= 130000,
    current_setting('server_version'),
    current_setting('statement_timeout'), current_setting('transaction_timeout', true),
    current_setting('lock_timeout')";

/// Refuses a server under which what was accepted may not be kept, or nothing works. With `weaker`, what endangers the
/// former only is warned of.
pub(super) async fn audit(connection: &mut PgConnection, weaker: bool) -> Result<(), PostgresError> {
    let row = first(connection, SETTINGS.to_owned()).await?;
    let found = |index: usize| row.try_get::<String, _>(index).map_err(database);
    let durable = |setting, found: String, fine: bool, needed| match fine {
        true => Ok(()),
        false if weaker => {
            tracing::warn!(setting, found, needed, "a crash of the server may undo what the store has promised");
            Ok(())
        }
        false => Err(PostgresError::Setting { setting, found, needed }),
    };
    let needed = |setting, found: String, fine: bool, needed| match fine {
        true => Ok(()),
        false => Err(PostgresError::Setting { setting, found, needed }),
    };
    let (fsync, pages, commit) = (found(0)?, found(1)?, found(2)?);
    let (isolation, read_only, recovery) = (found(3)?, found(4)?, found(5)?);
    let is_recent = row.try_get(6).map_err(database)?;
    needed("server_version", found(7)?, is_recent, "13 or later")?;
    needed(
        "pg_is_in_recovery",
        recovery.clone(),
        recovery == "false",
        "false: a replica that can only be read will not do",
    )?;
    needed("default_transaction_read_only", read_only.clone(), read_only == "off", "off")?;
    needed("default_transaction_isolation", isolation.clone(), isolation == "read committed", "read committed")?;
    durable("fsync", fsync.clone(), fsync == "on", "on")?;
    durable("full_page_writes", pages.clone(), pages == "on", "on")?;
    durable("synchronous_commit", commit.clone(), commit != "off", "on, or anything but off")?;
    for (index, setting) in [(8, "statement_timeout"), (9, "transaction_timeout"), (10, "lock_timeout")] {
        let found: Option<String> = row.try_get(index).map_err(database)?;
        if let Some(found) = found.filter(|found| found != "0") {
            tracing::warn!(setting, found, "statements of the store may be ended by this before they are done");
        }
    }
    Ok(())
}
