#![no_main]

mod pieces;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use tower_respond_async::fuzzing::origin;

const FIELDS: [&str; 5] = ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "host", "forwarded"];

fuzz_target!(|data: &[u8]| {
    let data = pieces::spell(
        data,
        &["https", "http\na.example", "proto=https;", "host=", "host=\"", ":80", "[::1]", "/a", "/.."],
    );
    let mut headers = HeaderMap::new();
    for (name, line) in FIELDS.into_iter().cycle().zip(data.split(|&byte| byte == b'\n')) {
        // A line that is empty stands for a field that is not there.
        if let (false, Ok(value)) = (line.is_empty(), HeaderValue::from_bytes(line)) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let Some(told) = origin(&headers) else { return };

    let (scheme, rest) = told.split_once("://").unwrap();
    let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    assert!(matches!(scheme, "http" | "https"));
    assert!(!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)));
    assert!(prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte)));
    assert!(!prefix.ends_with('/') && !prefix.contains("//"));
    assert!(prefix.split('/').all(|segment| !matches!(segment, "." | "..")));

    let uri: Uri = told.parse().unwrap();
    assert_eq!(uri.scheme_str(), Some(scheme));
    assert_eq!(uri.authority().unwrap(), host);
    assert!(uri.path() == prefix || prefix.is_empty());

    let mut again = HeaderMap::new();
    let forwarded = format!("for=_hidden;proto={scheme};host=\"{host}\"");
    again.insert("forwarded", forwarded.try_into().unwrap());
    again.insert("x-forwarded-prefix", prefix.try_into().unwrap());
    assert_eq!(origin(&again), Some(told), "survives being forwarded again");
});
