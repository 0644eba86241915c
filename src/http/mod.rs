//! The words on the wire: pure parsing and writing, no I/O.

pub(crate) mod accept;
pub(crate) mod address;
pub(crate) mod conditional;
pub(crate) mod forwarded;
pub(crate) mod grammar;
pub(crate) mod hop_by_hop;
pub(crate) mod idempotency_key;
pub(crate) mod json;
pub(crate) mod prefer;
pub mod problem;
pub(crate) mod range;
pub(crate) mod retry_after;
