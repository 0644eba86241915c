#![no_main]

mod pieces;

use http::header::{HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE};
use libfuzzer_sys::fuzz_target;
use tower_respond_async::fuzzing::{content_range, not_modified, range_applies, requested_range};

fuzz_target!(|data: &[u8]| {
    let Some((&shift, data)) = data.split_first() else {
        return;
    };
    let Some((length, lines)) = data.split_first_chunk() else {
        return;
    };
    let lines = pieces::spell(lines, &["bytes=", "bytes=0-", "bytes=-", "-9", "W/\"", "\", \"", "\"a\""]);
    let mut lines = lines.split(|&byte| byte == b'\n').map(HeaderValue::from_bytes);
    if let Some(Ok(range)) = lines.next() {
        // Shifted, so that short and long replies are equally likely.
        check_range(&range, u64::from_le_bytes(*length) >> (shift % 64));
    }
    if let (Some(Ok(condition)), Some(Ok(tag))) = (lines.next(), lines.next()) {
        check_conditions(&condition, &tag);
    }
});

fn check_range(range: &HeaderValue, length: u64) {
    assert_eq!(requested_range(None, length), Ok(None));
    let Ok(Some(part)) = requested_range(Some(range), length) else {
        return;
    };
    assert!(part.start < part.end && part.end <= length);

    let written = content_range(&part, length);
    let (positions, total) = written.to_str().unwrap().strip_prefix("bytes ").unwrap().split_once('/').unwrap();
    assert_eq!(total.parse(), Ok(length));
    let again = HeaderValue::try_from(format!("bytes={positions}")).unwrap();
    assert_eq!(requested_range(Some(&again), length), Ok(Some(part)), "reads back");
}

fn check_conditions(condition: &HeaderValue, tag: &HeaderValue) {
    let weak = not_modified(&one(IF_NONE_MATCH, condition), tag);
    let strong = range_applies(&one(IF_RANGE, condition), tag);
    assert!(!strong || weak, "a strong match is also a weak one");
    assert_eq!(strong, range_applies(&one(IF_RANGE, tag), condition), "equality has no direction");
    if strong {
        assert_eq!(condition.as_bytes().trim_ascii(), tag.as_bytes().trim_ascii());
    }
    assert!(not_modified(&one(IF_NONE_MATCH, &HeaderValue::from_static("*")), tag));
}

fn one(name: HeaderName, value: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value.clone())])
}
