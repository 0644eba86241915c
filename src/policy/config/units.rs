//! Durations and sizes as people write them: `300ms`, `2h 30m`, `64KiB`, `1.5GB`.

use std::time::Duration;

/// Why a text is no duration or no size; shown after the text it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("")]
    Malformed,
    #[error(", which has no unit")]
    NoUnit,
    #[error(", whose unit {0:?} is unknown")]
    UnknownUnit(String),
    #[error(", which is too large or too fine")]
    OutOfRange,
}

/// Reads a duration: numbers with units of time, `ns` to `years`, added up.
pub(super) fn duration(text: &str) -> Result<Duration, Unreadable> {
    if may_be_out_of_range(text) {
        return Err(Unreadable::OutOfRange);
    }
    humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => Unreadable::NoUnit,
        humantime::DurationError::UnknownUnit { unit, .. } => Unreadable::UnknownUnit(unit),
        humantime::DurationError::NumberOverflow => Unreadable::OutOfRange,
        humantime::DurationError::InvalidCharacter(_)
        | humantime::DurationError::NumberExpected(_)
        | humantime::DurationError::Empty => Unreadable::Malformed,
    })
}

/// Whether a text is so long, or a number in it, that the sum might come near the end of the range:
/// `humantime` panics at its very end, at `18446744073709551615s 1000ms`.
fn may_be_out_of_range(text: &str) -> bool {
    let digits = |number: &str| number.bytes().filter(u8::is_ascii_digit).count();
    text.len() > 128 || text.split(char::is_alphabetic).any(|number| digits(number) > 10)
}

/// Reads a size in bytes: a number, perhaps a fraction, with a decimal or binary unit or none.
/// Parts of a byte are dropped.
pub(super) fn size(text: &str) -> Result<u64, Unreadable> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(Unreadable::Malformed);
    }
    let unit = bytes_of(unit.trim())?;
    scaled(whole, fraction, unit).ok_or(Unreadable::OutOfRange)
}

/// The number `whole.fraction` times `unit`, rounded down; `None` when it overflows.
fn scaled(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let unit = u128::from(unit);
    let digits = u32::try_from(fraction.len()).ok()?;
    let whole: u128 = whole.parse().ok()?;
    let part: u128 = fraction.parse().ok()?;
    let part = part.checked_mul(unit)? / 10_u128.checked_pow(digits)?;
    whole.checked_mul(unit)?.checked_add(part)?.try_into().ok()
}

fn bytes_of(unit: &str) -> Result<u64, Unreadable> {
    Ok(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000_u64.pow(2),
        "gb" => 1000_u64.pow(3),
        "tb" => 1000_u64.pow(4),
        "kib" => 1024,
        "mib" => 1024_u64.pow(2),
        "gib" => 1024_u64.pow(3),
        "tib" => 1024_u64.pow(4),
        _ => return Err(Unreadable::UnknownUnit(unit.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("64KiB", 65_536),
            (" 10 MiB ", 10_485_760),
            ("10mib", 10_485_760),
            ("1.5GB", 1_500_000_000),
            ("0.3KiB", 307),
            ("1GiB", 1_073_741_824),
            ("16777215.999999TiB", 18_446_744_073_708_452_104),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        let unknown = |unit: &str| Unreadable::UnknownUnit(unit.to_owned());
        let cases = [
            ("", Unreadable::Malformed),
            ("MiB", Unreadable::Malformed),
            (".5MiB", Unreadable::Malformed),
            ("5.MiB", Unreadable::Malformed),
            ("1.2.3MiB", Unreadable::Malformed),
            ("-1", Unreadable::Malformed),
            ("10M", unknown("M")),
            ("10 furlongs", unknown("furlongs")),
            ("1_000", unknown("_000")),
            ("1e3", unknown("e3")),
            ("18446744073709551616", Unreadable::OutOfRange),
            ("16777216TiB", Unreadable::OutOfRange),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration() {
        let cases = [
            ("", Unreadable::Malformed),
            ("soon", Unreadable::Malformed),
            ("-5s", Unreadable::Malformed),
            ("300", Unreadable::NoUnit),
            ("3 parsecs", Unreadable::UnknownUnit("parsecs".to_owned())),
            ("99999999999999999years", Unreadable::OutOfRange),
            ("18446744073709551615s 1000ms", Unreadable::OutOfRange),
            ("1844674407 3709551615s 1000ms", Unreadable::OutOfRange),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_as_it_was(seconds in 0..=u64::from(u32::MAX), nanos in 0..1_000_000_000_u32) {
            let written = Duration::new(seconds, nanos);
            let text = humantime::format_duration(written).to_string();
            prop_assert_eq!(duration(&text), Ok(written));
        }

        #[test]
        fn a_written_size_reads_as_it_was(bytes: u64, space in " ?") {
            prop_assert_eq!(size(&bytes.to_string()), Ok(bytes));
            prop_assert_eq!(size(&format!("{bytes}{space}B")), Ok(bytes));
        }

        #[test]
        fn a_size_is_its_number_times_its_unit(number in 0..10_000_u64, power in 1..=4_u32) {
            let letter = ["K", "M", "G", "T"][power as usize - 1];
            prop_assert_eq!(size(&format!("{number}{letter}B")), Ok(number * 1000_u64.pow(power)));
            prop_assert_eq!(size(&format!("{number}{letter}iB")), Ok(number * 1024_u64.pow(power)));
        }

        #[test]
        fn a_decimal_fraction_is_exact(thousandths in 0..10_000_000_u64) {
            let (whole, part) = (thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(size(&format!("{whole}.{part:03}kB")), Ok(thousandths));
        }

        #[test]
        fn nothing_written_panics(text: String) {
            let _ = (size(&text), duration(&text));
        }
    }
}
