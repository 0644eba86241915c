//! The contract, in process and under a paused clock: what a request is answered, what the status monitor says, and
//! the rules that always hold, each by its number.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

mod accepted;
mod bounds;
mod budget;
mod cancellation;
mod completion;
mod disconnect;
mod drain;
mod events;
mod failures;
mod handle;
mod idempotency;
mod limits;
mod list;
mod model;
mod mounting;
mod outer_layers;
mod panics;
mod passing_through;
mod polling;
mod preferences;
mod privacy;
mod races;
mod readiness;
mod request_body;
mod result;
mod support;
