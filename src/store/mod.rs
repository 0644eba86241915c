//! Where operations live: the [contract] that every store keeps, and the stores.

mod arc;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contract;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod engine;
mod expiry;
mod future;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(test)]
#[cfg(any(feature = "postgres", feature = "redis"))]
mod tests;

pub use crate::{
    operation::{Ending, Failure, Key, Life, Refused, Reply, Report, Step, StoredRequest, Timestamp, life},
    policy::Terms,
};
pub(crate) use clock::Clock;
pub use contract::*;
#[cfg(feature = "redis")]
use engine::{Batches, Engine};
pub use future::StoreFuture;
pub use memory::MemoryStore;
pub(crate) use memory::{Canceled, Ended, MemoryLimits, TooLate};
