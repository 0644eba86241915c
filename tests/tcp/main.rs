//! The layer and the monitor behind real sockets: HTTP/1 written byte by byte, HTTP/2 frame by frame.
//!
//! Each test names the rule it is about, where there is one. Nothing here waits for time to pass where there is
//! something to wait for; a hang is turned into a failure by [`client::within`].

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod server;
mod stage;

mod connect;
mod curl;
mod drain;
mod events;
mod expect_continue;
mod failures;
mod first_poll;
mod hang_ups;
mod hostile;
mod keep_alive;
mod mounts;
mod nonsense;
mod replies;
mod streams;
mod uploads;
