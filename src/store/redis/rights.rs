//! Whether the user has the rights that the store needs: what a script has no right to, it would find out half way.

use redis::{ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value};

use super::{
    RedisOpenError, announcements,
    connection::{self, Connection},
    keys::Keys,
    scripts::{Call, RIGHTS},
};

/// Tries what the store does, to no effect.
pub(super) async fn audit(
    connection: &Connection,
    keys: &Keys,
    instance: [u8; 8],
    info: ConnectionInfo,
) -> Result<(), RedisOpenError> {
    let mut load = redis::cmd("SCRIPT");
    let loaded = connection.try_to_ask::<Value>(load.arg("LOAD").arg(RIGHTS.text)).await;
    loaded.map_err(|error| not_allowed("SCRIPT LOAD", error))?;
    let answer = connection.try_script(&Call::new(&RIGHTS, keys, instance)).await;
    match answer.map_err(|error| not_allowed("EVALSHA", error))? {
        Value::BulkString(command) if !command.is_empty() => {
            return Err(RedisOpenError::Forbidden(format!("{} in scripts", String::from_utf8_lossy(&command))));
        }
        _ => {}
    }
    let subscribed = announcements::try_to_subscribe(info, keys).await;
    subscribed.map_err(|error| not_allowed("SUBSCRIBE", error))
}

/// Why the store is not opened where this failed.
pub(super) fn not_allowed(command: &str, error: RedisError) -> RedisOpenError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            RedisOpenError::Forbidden(format!("{command}: {}", error.detail().unwrap_or_default()))
        }
        _ => RedisOpenError::Unavailable(connection::unavailable(error)),
    }
}
