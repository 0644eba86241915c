//! An operation's run in this process: what its handler sees of it, how it is stopped, and who waits for it.

mod handle;
mod runner;
mod watchers;

pub use handle::OperationHandle;
pub(crate) use handle::PROGRESS_PERIOD;
pub(crate) use runner::Runner;
pub(crate) use watchers::{Watch, Watchers};
