//! Whether the server is fit to keep operations.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::{connection::Connection, rights::not_allowed};
use crate::store::StoreError;

/// The oldest Redis that will do. Every Valkey does.
const OLDEST: (u32, u32) = (6, 2);

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The URL is not one of a Redis server, or asks for TLS and the crate `redis` has no feature for it.
    #[error("not the URL of a Redis server")]
    Url(#[source] RedisError),
    /// The prefix is empty, or has braces.
    #[error("the prefix is empty, or has braces")]
    Prefix,
    /// The store's thread could not be started.
    #[error("the store's thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// The server cannot be reached, or did not let us in.
    #[error(transparent)]
    Unavailable(StoreError),
    /// The server throws away what it was given when memory is short.
    #[error("the server evicts: its maxmemory-policy is {0}, and should be noeviction")]
    Evicts(String),
    /// The server is older than Redis 6.2.
    #[error("Redis {0} is too old: the oldest that will do is 6.2")]
    TooOld(String),
    /// The server is a replica, which takes no writes.
    #[error("the server is a replica")]
    Replica,
    /// The user has no right to this. The store needs scripts, the commands they run, publishing and subscribing, for
    /// its own keys and channel.
    #[error("the server allows the user no {0}")]
    Forbidden(String),
}

/// Whether the server keeps what it is given.
pub(super) async fn audit(connection: &Connection, allow_eviction: bool) -> Result<bool, RedisOpenError> {
    let info = connection.try_to_ask::<String>(&redis::cmd("INFO")).await;
    let info = info.map_err(|error| not_allowed("INFO", error))?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let version = field("redis_version").unwrap_or_default();
    if field("valkey_version").is_none() && !is_new_enough(version) {
        return Err(RedisOpenError::TooOld(version.to_owned()));
    }
    // In a cluster, a replica says where to go.
    if field("role") == Some("slave") && field("cluster_enabled") != Some("1") {
        return Err(RedisOpenError::Replica);
    }
    // Also what some hosts tell that do not show their configuration.
    let policy = match setting(connection, "maxmemory-policy").await? {
        None => field("maxmemory_policy").map(str::to_owned),
        policy => policy,
    };
    warn_about_persistence(connection).await?;
    match policy {
        Some(policy) if policy != "noeviction" && allow_eviction => Ok(false),
        Some(policy) if policy != "noeviction" => Err(RedisOpenError::Evicts(policy)),
        Some(_) => Ok(true),
        None => {
            tracing::warn!("cannot see the Redis server's maxmemory-policy: it should be noeviction");
            Ok(!allow_eviction)
        }
    }
}

async fn warn_about_persistence(connection: &Connection) -> Result<(), RedisOpenError> {
    let appendonly = setting(connection, "appendonly").await?;
    let appendfsync = setting(connection, "appendfsync").await?;
    match (appendonly.as_deref(), appendfsync.as_deref()) {
        (Some("yes"), Some("no")) => {
            tracing::warn!("appendfsync=no: a crash of the Redis server may lose many seconds");
        }
        (Some("yes"), _) => {}
        (Some(_), _) => tracing::warn!("appendonly=no: a crash of the Redis server loses all since its last snapshot"),
        (None, _) => tracing::warn!("cannot see the Redis server's appendonly and appendfsync: see what it can lose"),
    }
    Ok(())
}

/// A setting of the server; none where that is not shown, as with many hosts.
async fn setting(connection: &Connection, name: &str) -> Result<Option<String>, RedisOpenError> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    match connection.try_to_ask::<Vec<(String, String)>>(&command).await {
        Ok(settings) => Ok(settings.into_iter().next().map(|(_, value)| value)),
        Err(error) if is_forbidden(&error) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

fn is_forbidden(error: &RedisError) -> bool {
    use ServerErrorKind::{NoPerm, ResponseError};
    matches!(error.kind(), ErrorKind::Server(NoPerm | ResponseError) | ErrorKind::Extension)
}

fn unavailable(error: RedisError) -> RedisOpenError {
    RedisOpenError::Unavailable(super::connection::unavailable(error))
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, enough) in [("6.2.0", true), ("6.0.20", false), ("10.1", true), ("7", true), ("", false)] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }
}
