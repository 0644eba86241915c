//! Removes what belongs to a connection and not to the message (RFC 9110, section 7.6.1), before a
//! message is kept.
//!
//! - The fields that section names, and `Keep-Alive`, `Proxy-Connection` and `Trailer`. A kept
//!   message is sent again over another connection, with its own framing: who sends it says anew
//!   which trailers follow.
//! - The `Proxy-*` authentication fields: section 11.7 addresses them to the next proxy or client
//!   on the way, which the reader of a kept message is not, and `Proxy-Authorization` is a
//!   credential.
//! - Every field that a `Connection` line names, but for those every recipient needs. Section 7.6.1
//!   forbids to name them (its example is `Cache-Control`), and a message that did so could have
//!   its `Content-Type` or its security policy taken off: these stay.

use http::header::{CONNECTION, HeaderMap, HeaderName};

/// Removes all hop-by-hop fields. A message without any costs a glance at each name.
pub(crate) fn strip(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    let present: Vec<_> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in present {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|name| !is_for_every_recipient(name))
        .collect()
}

/// What describes the content, who may use it and how, or where the client goes next.
fn is_for_every_recipient(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("content-")
        || name.starts_with("access-control-")
        || name.starts_with("cross-origin-")
        || matches!(
            name,
            "accept-ranges"
                | "age"
                | "allow"
                | "authorization"
                | "cache-control"
                | "date"
                | "etag"
                | "expires"
                | "host"
                | "last-modified"
                | "location"
                | "referrer-policy"
                | "retry-after"
                | "set-cookie"
                | "strict-transport-security"
                | "vary"
                | "www-authenticate"
                | "x-content-type-options"
                | "x-frame-options"
        )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn stripped(fields: &[(&'static str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        strip(&mut headers);
        let mut kept: Vec<_> = headers.iter().map(|(name, _)| name.to_string()).collect();
        kept.sort();
        kept
    }

    #[test]
    fn the_known_ones_go_and_the_rest_stays() {
        let kept = stripped(&[
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x-checksum"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "gzip"),
            ("upgrade", "h2c"),
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-own", "1"),
        ]);
        assert_eq!(kept, ["content-type", "set-cookie", "set-cookie", "x-own"]);
    }

    #[test]
    fn what_connection_names_goes_too() {
        let kept = stripped(&[
            ("connection", "close, X-One ,,x-two,not a name"),
            ("connection", "x-three"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("x-four", "4"),
        ]);
        assert_eq!(kept, ["x-four"]);
    }

    #[test]
    fn what_every_recipient_needs_cannot_be_named_away() {
        let all = [
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'"),
            ("content-type", "text/plain"),
            ("etag", "\"1\""),
            ("set-cookie", "a=1"),
            ("x-content-type-options", "nosniff"),
        ];
        let names = all.map(|(name, _)| name);
        let line = names.join(", ");
        assert_eq!(stripped(&[&all[..], &[("connection", &line)]].concat()), names);
    }

    #[test]
    fn a_message_without_any_is_left_alone() {
        assert_eq!(stripped(&[("x-own", "1"), ("date", "now")]), ["date", "x-own"]);
        assert!(stripped(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn any_connection_line_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let Ok(line) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let mut headers = HeaderMap::from_iter([(CONNECTION, line)]);
            headers.insert("content-type", HeaderValue::from_static("text/plain"));
            strip(&mut headers);
            prop_assert_eq!(headers.len(), 1);
        }
    }
}
