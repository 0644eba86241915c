//! What threads share state by: the standard library's, or a scheduler's that tries out how they interleave.
//!
//! Only what is tested under the scheduler (`--cfg shuttle`) takes its locks and atomics from here.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
