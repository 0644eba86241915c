//! The layer and the monitor behind real sockets: HTTP/1 written byte by byte, HTTP/2 frame by frame.
//!
//! Each test names the rule it is about, where there is one. Nothing here waits for time to pass where there is
//! something to wait for; a hang is turned into a failure by [`client::within`].

mod client;
mod server;
mod stage;

mod events;
mod expect_continue;
mod first_poll;
mod hang_ups;
mod keep_alive;
mod replies;
mod streams;
mod uploads;
