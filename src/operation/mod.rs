//! What an operation is: its identity, its life, its reply. Pure: no I/O, no clock, no tasks.

pub(crate) mod id;
mod owner;
mod progress;
mod reply;
mod state;
mod timestamp;

pub use id::{OperationId, ParseOperationIdError};
pub use owner::Owner;
pub use progress::Progress;
pub use state::State;

pub(crate) use progress::{ProgressCell, Report};
pub(crate) use reply::{Ending, Given, Reply, ReplyBuilder};
pub(crate) use state::Failure;
pub(crate) use timestamp::Timestamp;
