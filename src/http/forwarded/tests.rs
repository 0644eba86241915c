use http::{HeaderValue, Uri};
use proptest::prelude::*;

use super::*;

fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn of(fields: &[(&'static str, &str)]) -> Option<String> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    origin(&headers(&fields), None)
}

#[test]
fn forwarded() {
    for (line, expected) in [
        ("proto=https;host=a.example", Some("https://a.example")),
        ("For=192.0.2.1; Proto=HTTP ;Host=\"a.example:8080\"", Some("http://a.example:8080")),
        (r#"for="[2001:db8::1]:4711";proto=https;host="[2001:db8::2]:8443""#, Some("https://[2001:db8::2]:8443")),
        (r#"proto=https;host="\a.exa\mple""#, Some("https://a.example")),
        ("proto=https;host=a.example, proto=http;host=b.example", Some("https://a.example")),
        (r#"for="x,y;host=b";proto=https;host=a.example"#, Some("https://a.example")),
        (";;proto=https;;host=a.example;", Some("https://a.example")),
        ("proto=https", Some("https://own.example")),
        ("host=a.example", None),
        ("for=192.0.2.1", None),
        ("for=192.0.2.1, proto=https;host=a.example", None),
        ("proto=ftp;host=a.example", None),
        ("proto=https;proto=https;host=a.example", None),
        ("proto=https;host=a.example;host=b.example", None),
        ("proto=https;host=a.example b", None),
        ("proto=https;host=", None),
        ("proto=https;host=\"a.example", None),
        ("proto=https;host=\"user@a.example\"", None),
        ("proto=https;host=\"a.example/path\"", None),
        ("", None),
    ] {
        let rest = [("host", "own.example"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "x.example")];
        let fields = [&[("forwarded", line)][..], &rest].concat();
        assert_eq!(of(&fields).as_deref(), expected, "{line}");
    }
}

#[test]
fn x_forwarded() {
    let (proto, host, prefix) = ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix");
    for (fields, expected) in [
        (vec![(proto, "https"), (host, "a.example")], Some("https://a.example")),
        (vec![(proto, "HTTPS , http"), (host, "a.example:1, b.example")], Some("https://a.example:1")),
        (vec![(proto, "https"), (proto, "http"), (host, "a.example")], Some("https://a.example")),
        (vec![(proto, "https"), (host, "a.example"), (prefix, "/api/v1/")], Some("https://a.example/api/v1")),
        (vec![(proto, "https"), (host, "a.example"), (prefix, "/")], Some("https://a.example")),
        (vec![(proto, "https"), (host, "a.example"), (prefix, "/a, /b")], Some("https://a.example/a")),
        (vec![("forwarded", "proto=https;host=a.example"), (prefix, "/a")], Some("https://a.example/a")),
        (vec![(proto, "https"), ("host", "own.example:80")], Some("https://own.example:80")),
        (vec![(proto, "https"), ("host", "one.example"), ("host", "two.example")], None),
        (vec![(proto, "https"), (host, "a b"), ("host", "own.example")], None),
        (vec![(proto, "https"), (host, "a.example"), (prefix, "//b.example")], None),
        (vec![(proto, "https")], None),
        (vec![(proto, ""), (host, "a.example")], None),
        (vec![(host, "a.example"), ("host", "own.example")], None),
        (vec![("host", "own.example"), (prefix, "/api")], None),
        (vec![], None),
    ] {
        assert_eq!(of(&fields).as_deref(), expected, "{fields:?}");
    }
}

#[test]
fn what_is_present_but_not_text_is_not_replaced_by_something_else() {
    let fields: &[(_, &[u8])] =
        &[("x-forwarded-proto", b"https"), ("x-forwarded-host", b"caf\xe9"), ("host", b"own.example")];
    assert_eq!(origin(&headers(fields), None), None);
}

#[test]
fn hosts() {
    for host in ["a", "a.example", "A-1_x.example.", "127.0.0.1:65535", "[::1]", "[::ffff:127.0.0.1]:80"] {
        assert!(is_host(host.as_bytes()), "{host}");
    }
    for host in [
        "",
        ":80",
        ".example",
        "-a",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a@b",
        "a\"",
        "a'",
        "a<b",
        "a%20",
        "a,b",
        "a;b",
        "a:",
        "a:x",
        "a:+80",
        "a:65536",
        "a:80:80",
        "[",
        "[]",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[::1%eth0]",
        "[a]",
        "[::1]]",
        "::1",
        "é",
    ] {
        assert!(!is_host(host.as_bytes()), "{host}");
    }
}

#[test]
fn prefixes() {
    for prefix in ["", "/a", "/a/b-1_2.3~", "/..."] {
        assert!(is_prefix(prefix.as_bytes()), "{prefix}");
    }
    for prefix in [
        "a", "/", "//", "/a/", "//a", "/a//b", "/.", "/../a", "/a/..", "/a?b", "/a#b", "/a b", "/%2e%2e", "/a\\b", "/é",
    ] {
        assert!(!is_prefix(prefix.as_bytes()), "{prefix}");
    }
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"proto=",
        b"host=",
        b"for=",
        b"https",
        b"http",
        b"a.example",
        b"[::1]",
        b":80",
        b"\"",
        b"\"",
        b";",
        b",",
        b" ",
        b"/",
        b"@",
        b"..",
        b"\\",
        b"%2f",
        b"?",
        b"#",
        b"\xff",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_comes_out_is_an_address_and_nothing_more(
        forwarded in prop::option::weighted(0.3, field()),
        proto in prop_oneof![Just(b"https".to_vec()), field()],
        host in prop::option::of(field()), own_host in field(), prefix in field(),
    ) {
        let mut fields: Vec<(_, &[u8])> = vec![("host", &own_host), ("x-forwarded-proto", &proto), ("x-forwarded-prefix", &prefix)];
        fields.extend(forwarded.as_deref().map(|it| ("forwarded", it)));
        fields.extend(host.as_deref().map(|it| ("x-forwarded-host", it)));
        if let Some(origin) = origin(&headers(&fields), None) {
            let uri: Uri = origin.parse().unwrap();
            prop_assert!(matches!(uri.scheme_str(), Some("http" | "https")));
            prop_assert!(!origin.ends_with('/') && !origin.contains(['@', '?', '#', '\\', '"', ',', ' ', '%']));
            let start = format!("{}://{}", uri.scheme_str().unwrap(), uri.host().unwrap());
            prop_assert!(origin.starts_with(&start));
        }
    }
}
