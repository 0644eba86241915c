//! Parts of a reply (RFC 9110, section 14).

use std::ops::Range;

use http::HeaderValue;

use super::grammar::{Cursor, digits, written};

/// What a `Range` field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requested {
    /// All of it: there is no `Range`, or it is one that may be ignored.
    Whole,
    /// These bytes, at least one: the answer is 206.
    Part(Range<u64>),
    /// Bytes that do not exist: the answer is 416.
    Unsatisfiable,
}

/// Reads `Range` for a reply of `length` bytes.
///
/// A server may ignore any `Range` (section 14.2). Ignored are malformed ones, units other than
/// `bytes`, and several ranges at once, whose multipart answer costs more than it is worth; also
/// the last bytes of an empty reply, which no `Content-Range` can express.
pub(crate) fn requested(range: Option<&HeaderValue>, length: u64) -> Requested {
    match range.and_then(|range| single(range.as_bytes())) {
        Some(Spec::From { first, last }) => from(first, last, length),
        Some(Spec::Last(wanted)) => last(wanted, length),
        None => Requested::Whole,
    }
}

/// `Content-Range` of a 206. `part` is a part of `length` bytes and not empty.
pub(crate) fn content_range(part: &Range<u64>, length: u64) -> HeaderValue {
    let last = part.end.saturating_sub(1);
    written(format!("bytes {}-{last}/{length}", part.start))
}

/// `Content-Range` of a 416.
pub(crate) fn content_range_unsatisfiable(length: u64) -> HeaderValue {
    written(format!("bytes */{length}"))
}

enum Spec {
    /// `first-pos "-" [ last-pos ]`, both inclusive.
    From { first: u64, last: Option<u64> },
    /// `"-" suffix-length`.
    Last(u64),
}

fn from(first: u64, last: Option<u64>, length: u64) -> Requested {
    if last.is_some_and(|last| last < first) {
        return Requested::Whole;
    }
    if first >= length {
        return Requested::Unsatisfiable;
    }
    let end = last.map_or(length, |last| last.saturating_add(1).min(length));
    Requested::Part(first..end)
}

fn last(wanted: u64, length: u64) -> Requested {
    match (wanted, length) {
        (0, _) => Requested::Unsatisfiable,
        (_, 0) => Requested::Whole,
        _ => Requested::Part(length.saturating_sub(wanted)..length),
    }
}

/// The only range of a well-formed `bytes` specifier.
fn single(line: &[u8]) -> Option<Spec> {
    let mut cursor = Cursor::new(line);
    if !cursor.token()?.eq_ignore_ascii_case(b"bytes") || !cursor.eat(b'=') || !cursor.next_element() {
        return None;
    }
    let first = cursor.take_while(|byte| byte.is_ascii_digit());
    if !cursor.eat(b'-') {
        return None;
    }
    let last = cursor.take_while(|byte| byte.is_ascii_digit());
    if cursor.next_element() {
        return None;
    }
    // Saturated numbers are right all the same: no reply is that long.
    match (digits(first.iter().copied()), digits(last.iter().copied())) {
        (Some(first), last) => Some(Spec::From { first, last }),
        (None, Some(last)) => Some(Spec::Last(last)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Requested::{Part, Unsatisfiable, Whole};
    use super::*;

    fn of(line: &str, length: u64) -> Requested {
        requested(Some(&HeaderValue::from_str(line).unwrap()), length)
    }

    #[test]
    fn one_range() {
        for (line, length, expected) in [
            ("bytes=0-", 10, Part(0..10)),
            ("bytes=0-0", 10, Part(0..1)),
            ("bytes=2-5", 10, Part(2..6)),
            ("bytes=9-", 10, Part(9..10)),
            ("bytes=5-99", 10, Part(5..10)),
            ("bytes=5-99999999999999999999", 10, Part(5..10)),
            ("bytes=-3", 10, Part(7..10)),
            ("bytes=-99", 10, Part(0..10)),
            ("bytes=-99999999999999999999", 10, Part(0..10)),
            ("BYTES=2-5", 10, Part(2..6)),
            ("bytes=, 2-5 ,", 10, Part(2..6)),
            ("bytes=0-18446744073709551615", u64::MAX, Part(0..u64::MAX)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=99999999999999999999-", u64::MAX, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-0", 0, Unsatisfiable),
            ("bytes=-5", 0, Whole),
        ] {
            assert_eq!(of(line, length), expected, "{line} of {length}");
        }
    }

    #[test]
    fn what_is_malformed_or_more_than_one_is_ignored() {
        assert_eq!(requested(None, 10), Whole);
        for line in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=,",
            "bytes=5",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1-2x",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=0-1,3-4",
            "bytes=0-1 3-4",
            "bytes = 0-1",
            "items=0-1",
            "bytes 0-1",
            "0-1",
        ] {
            assert_eq!(of(line, 10), Whole, "{line}");
        }
        assert_eq!(requested(Some(&HeaderValue::from_bytes(b"bytes=\xff-").unwrap()), 10), Whole);
    }

    #[test]
    fn content_range_is_inclusive() {
        assert_eq!(content_range(&(2..6), 10), "bytes 2-5/10");
        assert_eq!(content_range(&(0..u64::MAX), u64::MAX), "bytes 0-18446744073709551614/18446744073709551615");
        assert_eq!(content_range_unsatisfiable(10), "bytes */10");
    }

    proptest! {
        /// The same as picking the wanted positions one by one.
        #[test]
        fn agrees_with_counting(first in prop::option::of(0..20_u64), last in prop::option::of(0..20_u64), length in 0..20_u64) {
            let number = |it: Option<u64>| it.map(|it| it.to_string()).unwrap_or_default();
            let wanted: Vec<u64> = (0..length).filter(|&position| match (first, last) {
                (Some(first), last) => position >= first && last.is_none_or(|last| position <= last),
                (None, last) => last.is_some_and(|last| position + last >= length),
            }).collect();
            let malformed = match (first, last) {
                (Some(first), Some(last)) => last < first,
                (first, last) => first.is_none() && last.is_none(),
            };
            let unexpressible = first.is_none() && last != Some(0) && length == 0;
            match of(&format!("bytes={}-{}", number(first), number(last)), length) {
                Part(part) => prop_assert_eq!(part.collect::<Vec<_>>(), wanted),
                Unsatisfiable => prop_assert!(wanted.is_empty() && !malformed && !unexpressible),
                Whole => prop_assert!(malformed || unexpressible),
            }
        }

        #[test]
        fn a_part_lies_within(line in "(bytes=)?[0-9,-]{0,24}", length: u64) {
            if let Part(part) = of(&line, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
