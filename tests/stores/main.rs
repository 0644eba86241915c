//! The stores outside the process, held to the contract.

#![cfg(feature = "conformance")]

#[cfg(feature = "sqlite")]
mod sqlite;
