//! The life of an operation.

use std::fmt;

/// Where an operation is in its life.
///
/// `queued` → `running` → `succeeded` | `failed` | `canceled`. The last three are terminal: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Accepted and not started.
    Queued,
    /// Its handler is at work.
    Running,
    /// Its handler replied with a status below 400.
    Succeeded,
    /// Its handler replied with a status of 400 or more, or it has no reply of its handler: see
    /// [`problem`](crate::problem).
    Failed,
    /// It was ended on demand.
    Canceled,
}

impl State {
    /// The state's name on the wire, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The state of this name, as [`as_str`](Self::as_str) writes it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|state| state.as_str() == name)
    }

    /// Whether the operation has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why a failed operation has no reply of its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "durable", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Failure {
    /// The handler, its response body or one of its destructors panicked.
    Panicked,
    /// The service returned an error in place of a response, or its response body broke off.
    ServiceError,
    /// It ran longer than its policy's maximum run time.
    TimedOut,
    /// Its reply was larger than its policy or the store allows.
    ReplyTooLarge,
    /// The process shut down before it was done.
    Interrupted,
    /// Its process died, and it may not be run again.
    Lost,
}

impl Failure {
    const ALL: [Self; 6] =
        [Self::Panicked, Self::ServiceError, Self::TimedOut, Self::ReplyTooLarge, Self::Interrupted, Self::Lost];

    /// The failure's name on the wire, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::ServiceError => "service-error",
            Self::TimedOut => "timed-out",
            Self::ReplyTooLarge => "reply-too-large",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }

    /// The failure of this name, as [`as_str`](Self::as_str) writes it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in [State::Queued, State::Running, State::Succeeded, State::Failed, State::Canceled] {
            assert_eq!(State::named(state.as_str()), Some(state));
        }
        assert_eq!(State::named("cancelled"), None);
    }
}
