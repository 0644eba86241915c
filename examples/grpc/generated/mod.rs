//! The messages and the service of `proto/`, made by `tests/generated.rs`.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::all, clippy::restriction)]

#[rustfmt::skip]
#[path = "primes.v1.rs"]
pub(crate) mod primes;

/// What tells the layer which methods there are, and reflection what their messages are.
pub(crate) const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("file_descriptor_set.bin");
