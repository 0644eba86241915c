//! The `grpc` example as a process of its own, and its clients: its own client mode, a Python program that uses
//! Google's client libraries as they are, and what asks for health and reflection.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

mod client_mode;
mod environment;
mod neighbours;
#[path = "../support/program.rs"]
mod program;
mod python;
mod server;
