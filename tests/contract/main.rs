//! The contract, in process and under a paused clock: what a request is answered, what the status monitor says, and
//! the rules that always hold, each by its number.

mod accepted;
mod budget;
mod cancellation;
mod completion;
mod events;
mod list;
mod mounting;
mod polling;
mod preferences;
mod result;
mod support;
