//! How far an operation is, as its handler tells it.

use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
};

/// How far an operation is: a fraction, and a message for people.
///
/// ```
/// use tower_respond_async::Progress;
///
/// let progress = Progress::new(0.4).message("tile 4 of 10");
/// assert_eq!((progress.fraction(), progress.text()), (0.4, "tile 4 of 10"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    fraction: f64,
    message: Cow<'static, str>,
}

impl Progress {
    /// Progress of this fraction, from 0 to 1. What lies outside is brought inside; not-a-number counts as 0.
    #[must_use]
    pub fn new(fraction: f64) -> Self {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        Self { fraction, message: Cow::Borrowed("") }
    }

    /// Adds a message for people, such as `tile 4 of 10`.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// The fraction, from 0 to 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.fraction
    }

    /// The message for people; empty where there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.message
    }
}

impl From<f64> for Progress {
    fn from(fraction: f64) -> Self {
        Self::new(fraction)
    }
}

/// A progress and its place in the order of all that were set.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// 1 for the first.
    pub number: u64,
    /// How far the operation is.
    pub progress: Progress,
}

/// The latest progress of one operation: written by its handler, read by those who watch. Only the latest counts, so
/// a handler may set it as often as it likes.
#[derive(Debug)]
pub(crate) struct ProgressCell {
    latest: Mutex<Option<Report>>,
    /// The number before the first.
    before: u64,
}

impl ProgressCell {
    /// The progress of this attempt, whose numbers follow on all those of earlier ones.
    pub(crate) fn of_attempt(attempt: u32) -> Self {
        Self { latest: Mutex::new(None), before: u64::from(attempt.saturating_sub(1)) << 32 }
    }

    /// Whether this differs from what was there, and so is worth telling.
    pub(crate) fn set(&self, progress: Progress) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match &*latest {
            Some(report) if report.progress == progress => return false,
            Some(report) => report.number + 1,
            None => self.before + 1,
        };
        *latest = Some(Report { number, progress });
        true
    }

    pub(crate) fn get(&self) -> Option<Report> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_stay_between_zero_and_one() {
        for (given, kept) in [(-1.0, 0.0), (0.5, 0.5), (7.0, 1.0), (f64::NAN, 0.0), (f64::INFINITY, 1.0)] {
            assert_eq!(Progress::new(given).fraction(), kept);
        }
    }

    #[test]
    fn only_changes_are_numbered() {
        let cell = ProgressCell::of_attempt(1);
        assert_eq!(cell.get(), None);
        assert!(cell.set(0.5.into()));
        assert!(!cell.set(0.5.into()));
        assert!(cell.set(Progress::new(0.5).message("half")));
        assert_eq!(cell.get().map(|report| report.number), Some(2));
    }
}
