#![no_main]

mod pieces;

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_respond_async::fuzzing::{preference_applied, preferences};

fuzz_target!(|data: &[u8]| {
    let data = pieces::spell(data, &["respond-async", "wait", "wait=10", "=\"", ", ", "; a=", "\\\""]);
    let lines = data.split(|&byte| byte == b'\n');
    let lines: Vec<_> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let understood = preferences(&prefer(&lines));
    let (respond_async, wait) = understood;

    assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(u32::MAX.into())));
    assert!(!lines.is_empty() || understood == (false, None));

    let written = preference_applied(respond_async, wait);
    assert_eq!(preferences(&prefer(written.as_slice())), understood, "reads back");

    let mut padded = vec![HeaderValue::from_static(""), HeaderValue::from_static(" ,, \t")];
    padded.extend(lines.iter().cloned());
    padded.push(HeaderValue::from_static("unknown; respond-async=\"\", ="));
    assert_eq!(preferences(&prefer(&padded)), understood, "what means nothing changes nothing");

    let mut followed = lines;
    followed.push(HeaderValue::from_static("wait=4000000000, respond-async=later"));
    let (still_async, still_waiting) = preferences(&prefer(&followed));
    assert_eq!(still_async, respond_async, "the first of a repeated one wins");
    assert!(wait.is_none() || still_waiting == wait, "the first of a repeated one wins");
});

fn prefer(lines: &[HeaderValue]) -> HeaderMap {
    lines.iter().map(|line| (http::HeaderName::from_static("prefer"), line.clone())).collect()
}
