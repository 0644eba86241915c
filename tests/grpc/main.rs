//! Operations over gRPC: tonic's own clients and servers, over real sockets.

#![cfg(all(feature = "grpc", feature = "sqlite", feature = "postgres", feature = "redis"))]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../tcp/client/mod.rs"]
mod client;
#[allow(dead_code, unused_imports, unused_macros, reason = "other tests need more of it")]
#[path = "../replicas/engines.rs"]
mod engines;
#[path = "../support/postgres.rs"]
mod postgres;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../stores/redis/server.rs"]
mod redis;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../replicas/tap.rs"]
mod tap;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../replicas/work.rs"]
mod work;

mod stage;

mod beside;
mod calls;
mod list;
mod longrunning;
mod replicas;
mod wait;
