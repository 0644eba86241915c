//! The `gateway` example, as a process of its own between a client and a backend, over TCP.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

mod backend;
mod client;
mod process;
#[path = "../support/program.rs"]
mod program;

mod backends;
mod configuration;
mod failures;
mod headers;
mod in_line;
mod operations;
mod shutdown;
mod upgrades;
