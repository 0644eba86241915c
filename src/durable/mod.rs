//! Durable execution: requests that were stored before they were accepted, and the workers that run them, whichever
//! process took them.

mod worker;

pub use worker::Worker;
