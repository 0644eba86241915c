//! What an operation is: its identity, its life, its reply. Pure: no I/O, no clock, no tasks.

pub(crate) mod id;
mod key;
pub mod life;
mod owner;
mod progress;
#[cfg(feature = "durable")]
pub(crate) mod record;
mod reply;
mod request;
mod state;
mod timestamp;

pub use id::{OperationId, ParseOperationIdError};
pub use key::Key;
pub(crate) use key::sender;
pub use life::{Life, Refused, Step};
pub use owner::Owner;
pub use progress::{Progress, Report};
pub use reply::{Ending, Reply};
pub use request::StoredRequest;
pub use state::{Failure, State};
pub use timestamp::Timestamp;

pub(crate) use progress::ProgressCell;
pub(crate) use reply::{Given, ReplyBuilder};
