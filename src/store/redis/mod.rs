//! The store in Redis or Valkey.
//!
//! ```no_run
//! use tower_respond_async::store::redis::RedisStore;
//!
//! # async fn example() -> Result<(), tower_respond_async::store::redis::RedisOpenError> {
//! let store = RedisStore::builder("redis://localhost/").prefix("shop").open().await?;
//! # Ok(()) }
//! ```
//!
//! It needs Redis 6.2 or Valkey, of any version. Every step is one script in the server, and the server's clock is the
//! only one that counts. What many callers write at the same moment goes there together.
//!
//! # Where it lives
//!
//! One store is eighteen keys and a channel, all named `{prefix}:…`. The braces are a hash tag: in a cluster all of a
//! store is in one slot, so that each script finds all of its keys in one place, and every script names all keys that
//! it touches. Where the slot has moved (`MOVED`), the store follows. While it is being moved key by key, the cluster
//! refuses what needs keys at both ends (`TRYAGAIN`, or `ASK` and then that), and the store is unavailable. To spread
//! the load over a cluster, give several services stores of different prefixes.
//!
//! An operation that has ended takes about 140 bytes beyond its reply, and some 50 more where it has an owner. Replies
//! and requests of more than 16 KiB are kept apart, in pieces of 1 MiB, so that no single one holds up the server.
//!
//! The user needs the right to load and to run scripts, to the commands that these run, to publish and to subscribe,
//! for the store's keys and channel: with Redis' access control lists `~{prefix}:* &{prefix}:* +@all -@dangerous
//! +info`, for example, the prefix being in braces. A user without is [refused](RedisOpenError::Forbidden).
//!
//! Nothing has an expiry of Redis' own, for the counts to be right: what is over is over for whoever asks, by the
//! server's clock, and is removed by the next sweep of any process that has the store. What a store leaves behind that
//! nobody opens any more is to be deleted by its prefix.
//!
//! # What Redis can lose
//!
//! Redis answers before what it was told is safe. With `appendonly yes` and `appendfsync everysec`, as is usual, a
//! crash of the server loses up to a second; with `appendfsync always` nothing; without `appendonly` everything since
//! the last snapshot. Replication is asynchronous: at a failover, writes that were acknowledged may be gone, fewer of
//! them with [`wait_replicas`](RedisStoreBuilder::wait_replicas). Where an operation that was accepted must not be
//! lost, keep operations in a database.
//!
//! A server that evicts may throw away any of this at any time. So one whose `maxmemory-policy` is not `noeviction` is
//! [not opened](RedisOpenError::Evicts) unless that is [allowed](RedisStoreBuilder::allow_eviction), and then durable
//! operations are refused.
//!
//! # When the server is away
//!
//! Every method fails with [`StoreError::Unavailable`] within about twice the store's
//! [patience](RedisStoreBuilder::patience): what was waiting when the server was given up is given up with it. The
//! store connects anew by itself, for whatever is asked from a quarter of a second later on.
//!
//! # TLS
//!
//! For `rediss://`, turn on one of the TLS features of the crate `redis`, such as `tokio-rustls-comp`, in the manifest
//! of the application.

mod announcements;
mod answer;
mod audit;
mod bodies;
mod builder;
mod claims;
mod connection;
mod keys;
mod leases;
mod lists;
mod record;
mod rights;
mod scripts;
mod terms;
#[cfg(test)]
mod tests;
mod writes;

pub use audit::RedisOpenError;
pub use builder::RedisStoreBuilder;

use std::{fmt, sync::Arc, time::Duration};

use redis::{ConnectionInfo, Value};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    connection::Connection,
    keys::Keys,
    scripts::{Call, Source},
    terms::KnownTerms,
    writes::{Found, Intent},
};
use super::{
    Batches, Engine, StoreError, StoreFuture,
    contract::{
        Attempt, Cancellation, Claimed, Counts, Created, Finished, LeaseId, ListFilter, Listed, Listener, NewOperation,
        OpenLease, Part, Snapshot, Store, Swept,
    },
};
use crate::operation::{Failure, OperationId, Owner, Reply, Report};

/// Operations in Redis or Valkey. See the [module](self).
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<Link>,
    engine: Engine,
    info: ConnectionInfo,
    closed: CancellationToken,
    _close: Arc<DropGuard>,
}

impl RedisStore {
    /// A store at this server, such as `redis://:password@host:6379/0` or `redis+unix:///run/redis.sock`, to be
    /// [opened](RedisStoreBuilder::open).
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url.into())
    }

    /// Does this on the store's own thread.
    fn run<T, F>(&self, work: impl FnOnce(Arc<Link>) -> F) -> StoreFuture<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.engine.run(work(Arc::clone(&self.link)))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisStore").field("address", self.info.addr()).finish_non_exhaustive()
    }
}

/// What it takes to do anything in the server.
#[derive(Debug)]
struct Link {
    connection: Arc<Connection>,
    keys: Arc<Keys>,
    /// Whose changes these are.
    instance: [u8; 8],
    /// Whether the server keeps what it was given.
    keeps: bool,
    terms: KnownTerms,
    /// Apart from other writes, which are let through where memory is short.
    creates: Batches<Intent, Value>,
    writes: Batches<Intent, Value>,
    reads: Batches<OperationId, Found>,
}

impl Link {
    fn call(&self, script: &'static Source) -> Call {
        Call::new(script, &self.keys, self.instance)
    }
}

impl Store for RedisStore {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        self.run(|link| async move { link.create(operation).await })
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        let owner = owner.cloned();
        self.run(|link| async move { link.read(id, owner.as_ref(), part).await })
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        self.run(|link| async move { link.finish(attempt, &reply).await })
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        let owner = owner.cloned();
        self.run(|link| async move { link.cancel(id, owner.as_ref()).await })
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        let owner = owner.cloned();
        self.run(|link| async move { link.forget(id, owner.as_ref()).await })
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        let owner = owner.clone();
        self.run(|link| async move { link.list(&owner, filter, limit).await })
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.run(|link| async move { link.report(attempt, &report).await })
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        self.run(|link| async move { link.open_lease(length, &running).await })
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        self.run(|link| async move { link.renew(lease, &running).await })
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.run(|link| async move { link.close_lease(lease).await })
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        let engine = self.engine.clone();
        self.run(|link| async move { link.claim(&engine, lease, limit).await })
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.run(|link| async move { link.retry(attempt, failure).await })
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.run(|link| async move { link.hand_back(attempt).await })
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        self.run(|link| async move { link.sweep(limit).await })
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.run(|link| async move { link.counts().await })
    }

    fn announce_to(&self, listener: Listener) {
        let link = Arc::clone(&self.link);
        self.engine.spawn(announcements::announce(self.info.clone(), link, listener, self.closed.clone()));
    }
}
