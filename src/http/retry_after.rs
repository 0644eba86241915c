//! When to ask again: `Retry-After` (RFC 9110, section 10.2.3) from what a route's recent
//! operations took.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;

const REMEMBERED: usize = 16;

/// No answer is larger than this many seconds, spread and all.
const LONGEST: u64 = 3600;

/// How long the latest operations of a route ran.
///
/// Lock-free. Readers may see a mixture of old and new times, which is as good an estimate as any.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Milliseconds, 0 where there is none yet.
    recent: [AtomicU32; REMEMBERED],
    recorded: AtomicUsize,
}

impl History {
    pub(crate) fn record(&self, run_time: Duration) {
        let next = self.recorded.fetch_add(1, Ordering::Relaxed) % REMEMBERED;
        if let Some(slot) = self.recent.get(next) {
            let milliseconds = u32::try_from(run_time.as_millis()).unwrap_or(u32::MAX);
            slot.store(milliseconds.max(1), Ordering::Relaxed);
        }
    }

    /// How much longer an operation will run that has run for `elapsed`: the mean of the recent run
    /// times that were longer, less what has passed. `None` when none was.
    pub(crate) fn expected_remaining(&self, elapsed: Duration) -> Option<Duration> {
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let (mut remaining, mut longer) = (0_u64, 0_u64);
        for run_time in &self.recent {
            let run_time = u64::from(run_time.load(Ordering::Relaxed));
            remaining += run_time.saturating_sub(elapsed);
            longer += u64::from(run_time > elapsed);
        }
        remaining.checked_div(longer).map(Duration::from_millis)
    }
}

/// The value of `Retry-After`, in whole seconds from 1 to 3600.
///
/// It is the expected remaining time, rounded up; when nothing is known, half of the time already
/// passed, so that polls grow rarer. `jitter`, any random number, adds up to a quarter of that, all
/// whole seconds in between being equally likely: 100 becomes 100 to 125. A quarter of less than
/// four seconds is no whole second; then one second is added, with a probability that grows with
/// the value (a fifth of the time for 1, a third for 2): clients told at the same moment
/// to come back spread out over a few polls, and few wait longer than they have to.
///
/// It never falls when the expectation or, without one, the time passed rises, all else being
/// equal.
pub(crate) fn seconds(expected_remaining: Option<Duration>, elapsed: Duration, jitter: u32) -> u64 {
    let base = match expected_remaining {
        Some(remaining) => remaining.as_secs().saturating_add(u64::from(remaining.subsec_nanos() > 0)),
        None => elapsed.as_secs() / 2,
    };
    let base = base.clamp(1, LONGEST / 5 * 4);
    // floor(u * (base / 4 + 1)) for the fraction u = jitter / 2^32, without losing the quarter.
    let spread = (u64::from(jitter) * (base + 4)) >> 34;
    base + spread
}

/// The field's value. The usual ones are at hand.
pub(crate) fn value(seconds: u64) -> HeaderValue {
    const USUAL: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let usual = usize::try_from(seconds).ok().and_then(|seconds| USUAL.get(seconds));
    usual.map_or_else(|| seconds.into(), |value| HeaderValue::from_static(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn spread(base: u64) -> Vec<u64> {
        let jitters = (0..1000).map(|step| u32::MAX / 1000 * step).chain([u32::MAX]);
        jitters.map(|jitter| seconds(Some(SECOND * u32::try_from(base).unwrap()), SECOND, jitter)).collect()
    }

    #[test]
    fn nothing_is_expected_of_an_unknown_route() {
        assert_eq!(History::default().expected_remaining(Duration::ZERO), None);
    }

    #[test]
    fn expects_the_mean_of_those_that_ran_longer() {
        let history = History::default();
        for seconds in [1, 2, 10, 20] {
            history.record(Duration::from_secs(seconds));
        }
        for (elapsed, expected) in
            [(0, Some(8_250)), (1_000, Some(9_666)), (5_000, Some(10_000)), (15_000, Some(5_000)), (20_000, None)]
        {
            let remaining = history.expected_remaining(Duration::from_millis(elapsed));
            assert_eq!(remaining, expected.map(Duration::from_millis), "{elapsed}");
        }
    }

    #[test]
    fn forgets_what_is_old() {
        let history = History::default();
        for run_time in [SECOND * 100, SECOND * 4] {
            (0..REMEMBERED).for_each(|_| history.record(run_time));
        }
        assert_eq!(history.expected_remaining(SECOND), Some(SECOND * 3));
    }

    #[test]
    fn extreme_run_times_do_no_harm() {
        let history = History::default();
        history.record(Duration::ZERO);
        assert_eq!(history.expected_remaining(Duration::ZERO), Some(Duration::from_millis(1)));
        (0..REMEMBERED).for_each(|_| history.record(Duration::MAX));
        assert_eq!(history.expected_remaining(Duration::ZERO), Some(Duration::from_millis(u32::MAX.into())));
        assert_eq!(history.expected_remaining(Duration::MAX), None);
    }

    #[test]
    fn without_jitter_it_is_the_expectation_or_half_of_what_passed() {
        let milliseconds = Duration::from_millis;
        for (expected, elapsed, answer) in [
            (Some(0), 50_000, 1),
            (Some(1), 50_000, 1),
            (Some(1_000), 0, 1),
            (Some(1_001), 0, 2),
            (Some(90_000), 0, 90),
            (None, 0, 1),
            (None, 3_999, 1),
            (None, 4_000, 2),
            (None, 60_000, 30),
            (None, 1_000_000_000, 2880),
            (Some(1_000_000_000), 0, 2880),
        ] {
            assert_eq!(seconds(expected.map(milliseconds), milliseconds(elapsed), 0), answer, "{expected:?} {elapsed}");
        }
    }

    #[test]
    fn large_values_spread_evenly_over_a_quarter() {
        let answers = spread(100);
        for answer in 100..=125 {
            let times = answers.iter().filter(|it| **it == answer).count();
            assert!((30..=45).contains(&times), "{answer}: {times}");
        }
        assert_eq!(answers.iter().max(), Some(&125));
    }

    #[test]
    fn small_values_spread_a_little() {
        for (base, later) in [(1, 200), (2, 333), (3, 428)] {
            let answers = spread(base);
            assert!(answers.iter().all(|it| (base..=base + 1).contains(it)), "{base}");
            assert!(answers.iter().filter(|it| **it > base).count().abs_diff(later) < 5, "{base}");
        }
    }

    proptest! {
        #[test]
        fn always_in_bounds(expected: Option<Duration>, elapsed: Duration, jitter: u32) {
            prop_assert!((1..=LONGEST).contains(&seconds(expected, elapsed, jitter)));
        }

        #[test]
        fn never_falls_as_time_rises(one: Duration, two: Duration, jitter: u32) {
            let (less, more) = (one.min(two), one.max(two));
            prop_assert!(seconds(Some(less), one, jitter) <= seconds(Some(more), two, jitter));
            prop_assert!(seconds(None, less, jitter) <= seconds(None, more, jitter));
        }

        #[test]
        fn never_asks_to_come_back_before_the_expected_end(expected in 0..2_880_000_u64, jitter: u32) {
            let answer = seconds(Some(Duration::from_millis(expected)), Duration::ZERO, jitter);
            prop_assert!(answer * 1000 >= expected);
        }
    }
}
