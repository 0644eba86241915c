//! The store in memory: for operations that end with the process.
//!
//! Each operation's record is locked for as long as something is done to it. While it is, the queue, the leases and the
//! schedule may be locked, each by itself; nobody who holds one of these asks for a record.

mod attempts;
mod creation;
mod direct;
mod ids;
mod leases;
mod listeners;
mod listing;
mod queue;
mod record;
mod shared;
mod stages;

use std::sync::atomic::AtomicUsize;

use creation::Keys;
use dashmap::DashMap;
pub(crate) use direct::{Canceled, TooLate};
use ids::IdHasher;
use leases::Leases;
use listeners::Listeners;
use listing::Owned;
use queue::Queue;
use record::Record;
pub(crate) use stages::Ended;

use super::{
    Clock,
    expiry::{Expiry, Precision},
};
use crate::{operation::OperationId, telemetry};

/// More than the default, so that a reader seldom meets a writer, and a writer's growth of one shard is short.
const SHARDS: usize = 256;

/// A store in this process's memory, which ends with it: for the tests of an application, for several
/// [`Operations`](crate::Operations) in one process that share their operations, and as a model of the
/// [contract](super::contract).
///
/// Its time goes on even where a test has paused tokio's.
///
/// A single [`Operations`](crate::Operations) needs none: without a store, it keeps its operations in memory, and by a
/// shorter way. Those that share a store are each given a clone of one `Arc`:
///
/// ```
/// use std::sync::Arc;
/// use tower_respond_async::{Operations, store::MemoryStore};
///
/// let store = Arc::new(MemoryStore::new().max_kept_operations(1_000));
/// let public = Operations::builder().base_path("/operations").store(Arc::clone(&store)).build()?;
/// let internal = Operations::builder().base_path("/internal/operations").store(store).build()?;
/// # drop((public, internal));
/// # Ok::<(), tower_respond_async::BuildError>(())
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    operations: DashMap<OperationId, Box<Record>, IdHasher>,
    expiry: Expiry,
    owned: Owned,
    extended: Box<Extended>,
    clock: Clock,
    limits: MemoryLimits,
    count: AtomicUsize,
    kept_bytes: AtomicUsize,
}

/// What plain operations have nothing to do with.
#[derive(Debug, Default)]
struct Extended {
    keys: Keys,
    queue: Queue,
    leases: Leases,
    listeners: Listeners,
}

/// How much the store may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryLimits {
    pub(crate) operations: usize,
    pub(crate) bytes: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let limits = MemoryLimits { operations: 100_000, bytes: 256 * 1024 * 1024 };
        Self::with(limits, Clock::of_system(), Precision::Millisecond)
    }

    /// How many operations may be kept at once, queued, running and ended; 100,000 by default. Where there are as many,
    /// none is created.
    #[must_use]
    pub fn max_kept_operations(mut self, operations: usize) -> Self {
        self.limits.operations = operations;
        self
    }

    /// How many bytes all kept replies may take; 256 MiB by default. No operation is created while less room is left
    /// than its policy's [largest reply](crate::Policy::max_reply) takes, or than an eighth of this, whichever is less;
    /// a reply for which there is no room ends its operation as `reply-too-large`.
    #[must_use]
    pub fn max_kept_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// The store of a single hub, which sweeps now and then.
    pub(crate) fn of_one_hub(limits: MemoryLimits) -> Self {
        Self::with(limits, Clock::new(), Precision::QuarterSecond)
    }

    fn with(limits: MemoryLimits, clock: Clock, precision: Precision) -> Self {
        Self {
            operations: DashMap::with_capacity_and_hasher_and_shard_amount(0, IdHasher::default(), SHARDS),
            expiry: Expiry::new(precision),
            owned: Owned::default(),
            extended: Box::default(),
            clock,
            limits,
            count: AtomicUsize::new(0),
            kept_bytes: AtomicUsize::new(0),
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        telemetry::forgotten(*self.kept_bytes.get_mut());
    }
}

#[cfg(shuttle)]
#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
