//! `grpc-timeout`: how long a call may take, as its caller says (gRPC over HTTP/2, "Requests").

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::http::grammar;

pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long the answer may take, so that it is with the caller before the call's time is up: a tenth of it, but at
/// least 20 ms and at most half a second, is left for the way, and no more than half of it. `None` where the caller
/// sets no time, or none that can be understood.
pub(crate) fn time_to_answer(headers: &HeaderMap) -> Option<Duration> {
    let timeout = parse(headers.get(GRPC_TIMEOUT)?.as_bytes())?;
    Some(timeout - way(timeout))
}

fn way(timeout: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_millis(500);
    (timeout / 10).clamp(SHORTEST, LONGEST).min(timeout / 2)
}

/// At most eight digits and a unit.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number = grammar::digits(digits.iter().copied()).filter(|_| digits.len() <= 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 60 * 60),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timeouts_are_read_with_their_units() {
        for (value, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("30S", Some(Duration::from_secs(30))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("0S", Some(Duration::ZERO)),
            ("123456789n", None),
            ("", None),
            ("S", None),
            ("-1S", None),
            ("1 S", None),
            ("1s", None),
        ] {
            assert_eq!(parse(value.as_bytes()), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn the_answer_is_due_before_the_timeout(number in 0_u64..100_000_000, unit in "[HMSmun]") {
            let value = format!("{number}{unit}");
            let timeout = parse(value.as_bytes()).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, HeaderValue::try_from(value).unwrap());
            let due = time_to_answer(&headers).unwrap();
            let way = timeout - due;
            prop_assert!(way <= Duration::from_millis(500).min(timeout / 2));
            prop_assert!(way >= Duration::from_millis(20).min(timeout / 2));
            prop_assert!(way <= (timeout / 10).max(Duration::from_millis(20)));
        }
    }
}
