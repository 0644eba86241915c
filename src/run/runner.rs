//! What the outside has of a run.

use tokio::task::AbortHandle;

use super::OperationHandle;
use crate::operation::{Report, State};

/// The means to stop the task that runs an operation, and to see how far it is. One is kept with each operation that
/// runs, so it is small: where there is a handle, the handle has it.
#[derive(Debug)]
pub(crate) enum Runner {
    Task(AbortHandle),
    Handle(OperationHandle),
}

impl Runner {
    pub(crate) fn new(task: AbortHandle, handle: Option<OperationHandle>) -> Self {
        match handle {
            None => Self::Task(task),
            Some(handle) => {
                let _first = handle.task().set(task);
                Self::Handle(handle)
            }
        }
    }

    pub(crate) fn progress(&self) -> Option<Report> {
        self.handle().and_then(OperationHandle::progress)
    }

    /// Has the task's future dropped, which a poll that is under way delays.
    pub(crate) fn abort(&self) {
        let task = match self {
            Self::Task(task) => Some(task),
            Self::Handle(handle) => handle.task().get(),
        };
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Tells the handler that its operation has ended, and how, if that is known.
    pub(crate) fn ended(&self, state: Option<State>) {
        if let Some(handle) = self.handle() {
            if let Some(state) = state {
                handle.end(state);
            }
            handle.released();
        }
    }

    fn handle(&self) -> Option<&OperationHandle> {
        match self {
            Self::Task(_) => None,
            Self::Handle(handle) => Some(handle),
        }
    }
}
