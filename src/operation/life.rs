//! The life of an operation as a table: which step leads from where to where, and which is refused.
//!
//! | step | queued | running, the same attempt | running, another attempt | ended |
//! |---|---|---|---|---|
//! | claim | running, the next attempt | refused | refused | refused |
//! | finish | refused | ended | refused | refused |
//! | retry, with attempts left | refused | queued, one failure more | refused | refused |
//! | retry, with none left | refused | failed, one failure more | refused | refused |
//! | hand back | refused | queued | refused | refused |
//! | cancel | canceled | canceled | canceled | refused |
//! | time out | refused | failed | refused | refused |
//!
//! Every store keeps to it, each in its own language.

use super::State;

/// Where an operation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its state.
    pub state: State,
    /// The number of its latest attempt; 0 while it has had none. It only grows, so it fences the writes of earlier
    /// ones.
    pub attempt: u32,
    /// How many attempts have failed without a reply. What was handed back has not.
    pub failures: u32,
}

/// What can happen to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody begins the next attempt.
    Claim,
    /// This attempt has brought the operation to its end.
    Finish {
        /// The attempt's number.
        attempt: u32,
        /// A terminal state.
        end: State,
    },
    /// This attempt has failed without a reply, or its lease is over.
    Retry {
        /// The attempt's number.
        attempt: u32,
        /// How many attempts may fail before the operation does.
        max_attempts: u32,
    },
    /// Whoever ran this attempt gives it up, though nothing is wrong with it.
    HandBack {
        /// The attempt's number.
        attempt: u32,
    },
    /// The operation's owner wants no more of it.
    Cancel,
    /// This attempt has run for longer than its policy allows.
    TimeOut {
        /// The attempt's number.
        attempt: u32,
    },
}

/// Why a step was not taken. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The operation has ended, and what has ended never changes.
    #[error("the operation has ended: {0}")]
    Ended(State),
    /// A later attempt runs, or the attempt has been taken away.
    #[error("the attempt is not the one that runs: the latest is number {latest}")]
    Superseded {
        /// The number of the latest attempt.
        latest: u32,
    },
    /// Somebody else runs it.
    #[error("the operation is not queued")]
    NotQueued,
    /// There is no such operation, or no longer.
    #[error("the operation is unknown")]
    Unknown,
    /// The lease under which it was asked is over or unknown.
    #[error("the lease is over")]
    LeaseOver,
}

impl Life {
    /// Accepted, and waiting for its first attempt.
    pub const QUEUED: Self = Self { state: State::Queued, attempt: 0, failures: 0 };

    /// Accepted by whoever runs it already.
    pub const RUNNING: Self = Self { state: State::Running, attempt: 1, failures: 0 };

    /// Where the step leads.
    ///
    /// # Errors
    ///
    /// As the [table](self) has it.
    pub fn step(self, step: Step) -> Result<Self, Refused> {
        match step {
            _ if self.state.is_terminal() => Err(Refused::Ended(self.state)),
            Step::Cancel => Ok(Self { state: State::Canceled, ..self }),
            Step::Claim if self.state == State::Queued => {
                Ok(Self { state: State::Running, attempt: self.attempt + 1, ..self })
            }
            Step::Claim => Err(Refused::NotQueued),
            Step::Finish { attempt, end } => self.running(attempt).map(|life| Self { state: end, ..life }),
            Step::TimeOut { attempt } => self.running(attempt).map(|life| Self { state: State::Failed, ..life }),
            Step::HandBack { attempt } => self.running(attempt).map(|life| Self { state: State::Queued, ..life }),
            Step::Retry { attempt, max_attempts } => self.running(attempt).map(|life| life.failed(max_attempts)),
        }
    }

    fn running(self, attempt: u32) -> Result<Self, Refused> {
        match self.state == State::Running && self.attempt == attempt {
            true => Ok(self),
            false => Err(Refused::Superseded { latest: self.attempt }),
        }
    }

    fn failed(self, max_attempts: u32) -> Self {
        let failures = self.failures + 1;
        Self { state: if failures < max_attempts { State::Queued } else { State::Failed }, failures, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a dyn Fn(u32) -> Step, [Result<Life, Refused>; 4]);

    /// The table above, cell by cell.
    #[test]
    fn the_table_holds() {
        let queued = Life { state: State::Queued, attempt: 3, failures: 1 };
        let running = Life { state: State::Running, attempt: 3, failures: 1 };
        let ended = Life { state: State::Failed, attempt: 3, failures: 1 };
        let (same, other) = (3, 2);
        let superseded = Err(Refused::Superseded { latest: 3 });
        let over = Err(Refused::Ended(State::Failed));
        let to = |state, attempt, failures| Ok(Life { state, attempt, failures });
        let finish = |attempt| Step::Finish { attempt, end: State::Succeeded };
        let retry = |attempt| Step::Retry { attempt, max_attempts: 3 };
        let last = |attempt| Step::Retry { attempt, max_attempts: 2 };
        let hand_back = |attempt| Step::HandBack { attempt };
        let time_out = |attempt| Step::TimeOut { attempt };

        let table: [Row<'_>; 7] = [
            (&|_| Step::Claim, [to(State::Running, 4, 1), Err(Refused::NotQueued), Err(Refused::NotQueued), over]),
            (&finish, [superseded, to(State::Succeeded, 3, 1), superseded, over]),
            (&retry, [superseded, to(State::Queued, 3, 2), superseded, over]),
            (&last, [superseded, to(State::Failed, 3, 2), superseded, over]),
            (&hand_back, [superseded, to(State::Queued, 3, 1), superseded, over]),
            (
                &|_| Step::Cancel,
                [to(State::Canceled, 3, 1), to(State::Canceled, 3, 1), to(State::Canceled, 3, 1), over],
            ),
            (&time_out, [superseded, to(State::Failed, 3, 1), superseded, over]),
        ];
        for (step, expected) in table {
            let found =
                [queued.step(step(same)), running.step(step(same)), running.step(step(other)), ended.step(step(same))];
            assert_eq!(found, expected, "{:?}", step(same));
        }
    }
}
