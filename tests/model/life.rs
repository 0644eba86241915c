//! The model: what an operation may be, and what is to be answered for it. In milliseconds since the history began.

use http::StatusCode;

use crate::{BUDGET, BUDGET_LATENESS, MAX_RUN_TIME, MAX_RUNNING, RETENTION, SWEEP_LATENESS};

/// An owner, or nobody in particular.
pub(crate) type Name = Option<&'static str>;

pub(crate) const STATES: [&str; 5] = ["queued", "running", "succeeded", "failed", "canceled"];

/// One request, from its submission until nobody is shown anything of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Life {
    /// Its client waits, and it may be detached. `fullest` is how many operations ran since its budget was over.
    InLine {
        since: u64,
        fullest: usize,
    },
    /// Its client waits, and it will not be detached.
    Declined,
    Running {
        since: u64,
    },
    Ended {
        at: u64,
        end: End,
    },
    /// Answered in line, forgotten or expired.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Replied(u16),
    Panicked,
    TimedOut,
    Canceled,
}

impl Life {
    /// Goes on to `now`, as far as the clock alone decides.
    pub(crate) fn pass(&mut self, now: u64) {
        if let Self::Ended { at, .. } = *self
            && at + RETENTION <= now
        {
            *self = Self::Gone;
        }
    }

    /// Where its budget is over, it is detached in time, unless all places were taken since.
    pub(crate) fn look_at_limit(&mut self, now: u64, running: usize) {
        if let Self::InLine { since, fullest } = self
            && *since + BUDGET <= now
        {
            *fullest = running.max(*fullest);
            if *since + BUDGET + BUDGET_LATENESS <= now {
                assert!(*fullest >= MAX_RUNNING, "it should have been detached");
                *self = Self::Declined;
            }
        }
    }

    /// The moments after `now` at which something may have happened that has to be looked at.
    pub(crate) fn stops(self) -> Vec<u64> {
        match self {
            Self::InLine { since, .. } => vec![since + BUDGET, since + BUDGET + BUDGET_LATENESS],
            Self::Running { since } => vec![since + MAX_RUN_TIME, since + MAX_RUN_TIME + SWEEP_LATENESS],
            Self::Declined | Self::Ended { .. } | Self::Gone => vec![],
        }
    }

    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Self::Running { .. } | Self::Ended { .. })
    }

    pub(crate) fn runs(self) -> bool {
        matches!(self, Self::Running { .. })
    }

    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::InLine { .. } | Self::Declined)
    }

    /// Whether its handler is at work.
    pub(crate) fn is_pending(self) -> bool {
        self.waits() || self.runs()
    }

    /// What `GET {id}` is answered.
    pub(crate) fn poll(self) -> StatusCode {
        match self {
            Self::Running { .. } => StatusCode::ACCEPTED,
            Self::Ended { .. } => StatusCode::SEE_OTHER,
            _ => StatusCode::NOT_FOUND,
        }
    }

    /// What `GET {id}/result` is answered.
    pub(crate) fn result(self) -> StatusCode {
        match self {
            Self::Ended { end, .. } => end.result(),
            _ => StatusCode::NOT_FOUND,
        }
    }

    /// What `DELETE {id}` is answered, and what it does.
    pub(crate) fn delete(&mut self, now: u64) -> StatusCode {
        *self = match self {
            Self::Running { .. } => Self::Ended { at: now, end: End::Canceled },
            Self::Ended { .. } => Self::Gone,
            _ => return StatusCode::NOT_FOUND,
        };
        StatusCode::NO_CONTENT
    }

    pub(crate) fn state(self) -> Option<&'static str> {
        match self {
            Self::Running { .. } => Some("running"),
            Self::Ended { end, .. } => Some(end.state()),
            _ => None,
        }
    }
}

impl End {
    fn state(self) -> &'static str {
        match self {
            Self::Replied(..400) => "succeeded",
            Self::Replied(_) | Self::Panicked | Self::TimedOut => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The error code of the status document.
    pub(crate) fn code(self) -> Option<String> {
        match self {
            Self::Replied(..400) => None,
            Self::Replied(status) => Some(status.to_string()),
            Self::Panicked => Some("panicked".to_owned()),
            Self::TimedOut => Some("timed-out".to_owned()),
            Self::Canceled => Some("canceled".to_owned()),
        }
    }

    fn result(self) -> StatusCode {
        match self {
            Self::Replied(status) => StatusCode::from_u16(status).unwrap(),
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Canceled => StatusCode::GONE,
        }
    }
}
