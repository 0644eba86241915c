//! A point in time as operations know it: milliseconds, written as RFC 3339.

use std::{fmt, time::Duration};

/// A point in time, in milliseconds since the Unix epoch. Displays as RFC 3339 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// So many milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time so much later; the last there is, where that is too late.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// The time so much earlier; the epoch, where that is too early.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub(crate) fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// The time from `earlier` to this; none where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The time as text, which is ASCII.
    pub(crate) fn to_ascii(self) -> [u8; 24] {
        // The last moment that RFC 3339 can write.
        const LAST: u64 = 253_402_300_799_999;
        let millis = self.0.min(LAST);
        let (days, seconds) = ((millis / 86_400_000) as u32, (millis / 1_000 % 86_400) as u32);
        let (year, month, day) = date(days);
        let mut text = *b"YYYY-MM-DDThh:mm:ss.mmmZ";
        for (place, number) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, seconds / 3_600),
            (14..16, seconds / 60 % 60),
            (17..19, seconds % 60),
            (20..23, (millis % 1_000) as u32),
        ] {
            write_decimal(&mut text[place], number);
        }
        text
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

/// Year, month and day of so many days after the Unix epoch, by the Gregorian calendar.
fn date(days: u32) -> (u32, u32, u32) {
    // Counted from the 1st of March of the year 0, so that a leap day is the last of its year; within 400 years, after
    // which the calendar repeats itself.
    let days = days + 719_468;
    let (cycles, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // The months from March on have 31, 30, 31, 30, 31 days, over and over: 153 in five of them.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * cycles + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

fn write_decimal(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_written_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_785_000_000_123).to_string(), "2026-07-25T17:20:00.123Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn every_moment_is_written_as_another_writer_has_it(millis in 0..253_402_300_800_000_u64) {
            let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let expected = humantime::format_rfc3339_millis(moment).to_string();
            prop_assert_eq!(Timestamp::from_millis(millis).to_string(), expected);
        }
    }

    #[test]
    fn every_day_of_two_centuries_has_its_date() {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        for day in 0..200 * 366 {
            let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(day * DAY);
            let expected = humantime::format_rfc3339_millis(moment).to_string();
            assert_eq!(Timestamp::from_millis(day * DAY).to_string(), expected);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(25));
        assert_eq!(late.since(early), Duration::from_millis(20));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.after(Duration::MAX), Timestamp::from_millis(u64::MAX));
    }
}
