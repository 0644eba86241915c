//! Whole applications over real sockets, one replica or two of them before one store: the same for every store.

#![cfg(all(feature = "sqlite", feature = "postgres", feature = "redis"))]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../tcp/client/mod.rs"]
mod client;
#[path = "../support/postgres.rs"]
mod postgres;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../stores/redis/server.rs"]
mod redis;

mod engines;
mod stage;
mod tap;
mod work;

mod claims;
mod durable;
mod failures;
mod keys;
mod lost_answers;
mod monitor;
mod outages;
mod replicas;
mod room;
