//! How a store in Redis is opened.

use std::{sync::Arc, time::Duration};

use redis::{ConnectionInfo, IntoConnectionInfo};
use tokio_util::sync::CancellationToken;

use super::{
    Link, RedisOpenError, RedisStore, audit,
    connection::Connection,
    keys::Keys,
    rights,
    writes::{self, TOGETHER},
};
use crate::{operation::OperationId, store::Engine};

/// How a store in Redis is opened. Made by [`RedisStore::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `open`"]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    patience: Duration,
    allow_eviction: bool,
    replicas: usize,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            prefix: "respond-async".to_owned(),
            patience: Duration::from_secs(3),
            allow_eviction: false,
            replicas: 0,
        }
    }

    /// What the store's keys begin with, in braces. Stores of different prefixes know nothing of each other.
    ///
    /// Default: `respond-async`. It must not be empty and have no braces of its own.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long the server may take for one answer, with connecting where that is needed, before it counts as
    /// unavailable.
    ///
    /// Default: 3 seconds. Whatever is asked meanwhile waits as well.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Opens the store also where the server may evict: for detached execution only, which ends with its process in any
    /// case. Durable operations are then refused as [unsupported](crate::store::StoreError::Unsupported).
    ///
    /// Default: `false`.
    pub fn allow_eviction(mut self, allow: bool) -> Self {
        self.allow_eviction = allow;
        self
    }

    /// How many replicas must have a write before it counts as done. A write that too few have confirmed within half of
    /// the [patience](Self::patience) fails as unavailable, and may be done all the same.
    ///
    /// Default: 0. With more, every write takes a second round trip, over a connection of its own, so that nothing that
    /// is read waits for replicas. It makes a loss at a failover less likely, and does not rule it out.
    pub fn wait_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Connects, and looks at how the server is set up.
    ///
    /// # Errors
    ///
    /// See [`RedisOpenError`]. What may lose data but can be meant so is a warning in the log.
    pub async fn open(self) -> Result<RedisStore, RedisOpenError> {
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            return Err(RedisOpenError::Prefix);
        }
        let info = self.url.into_connection_info().map_err(RedisOpenError::Url)?;
        let engine = Engine::start("redis-store").map_err(RedisOpenError::Thread)?;
        let connection = Arc::new(Connection::new(info.clone(), self.patience, self.replicas));
        let (keys, instance) = (Arc::new(Keys::new(&self.prefix)), instance());
        let keeps = {
            let (connection, keys, info) = (Arc::clone(&connection), Arc::clone(&keys), info.clone());
            let audit =
                engine.run(async move { Ok(fitness(&connection, &keys, instance, info, self.allow_eviction).await) });
            audit.await.map_err(RedisOpenError::Unavailable)??
        };

        let link = Link {
            creates: batches(&engine, &connection, &keys, instance),
            writes: batches(&engine, &connection, &keys, instance),
            reads: {
                let (connection, keys) = (Arc::clone(&connection), Arc::clone(&keys));
                engine.batches(TOGETHER, move |ids| writes::read(Arc::clone(&connection), Arc::clone(&keys), ids))
            },
            connection,
            keys,
            instance,
            keeps,
            terms: super::KnownTerms::default(),
        };
        let closed = CancellationToken::new();
        let close = Arc::new(closed.clone().drop_guard());
        Ok(RedisStore { link: Arc::new(link), engine, info, closed, _close: close })
    }
}

/// Whether the server keeps what it is given, if it is fit at all.
async fn fitness(
    connection: &Connection,
    keys: &Keys,
    instance: [u8; 8],
    info: ConnectionInfo,
    allow_eviction: bool,
) -> Result<bool, RedisOpenError> {
    let keeps = audit::audit(connection, allow_eviction).await?;
    rights::audit(connection, keys, instance, info).await?;
    Ok(keeps)
}

fn batches(
    engine: &Engine,
    connection: &Arc<Connection>,
    keys: &Arc<Keys>,
    instance: [u8; 8],
) -> crate::store::Batches<writes::Intent, redis::Value> {
    let (connection, keys) = (Arc::clone(connection), Arc::clone(keys));
    engine
        .batches(TOGETHER, move |intents| writes::write(Arc::clone(&connection), Arc::clone(&keys), instance, intents))
}

fn instance() -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = OperationId::random().to_bytes();
    [a, b, c, d, e, f, g, h]
}

impl std::fmt::Debug for RedisStoreBuilder {
    /// Without the URL, which may hold a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("patience", &self.patience)
            .field("allow_eviction", &self.allow_eviction)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}
