use proptest::prelude::*;

use super::*;

fn parse(lines: &[&[u8]]) -> Preferences {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(PREFER, HeaderValue::from_bytes(line).unwrap());
    }
    Preferences::from_headers(&headers)
}

fn preferences(respond_async: bool, wait: Option<u64>) -> Preferences {
    Preferences { respond_async, wait: wait.map(Duration::from_secs) }
}

#[test]
fn no_prefer_is_no_preference() {
    assert_eq!(parse(&[]), Preferences::default());
}

#[test]
fn one_line() {
    let largest = Some(u64::from(u32::MAX));
    for (line, respond_async, wait) in [
        ("", false, None),
        (" , ,, ", false, None),
        ("return=minimal", false, None),
        ("respond-async", true, None),
        ("Respond-ASYNC", true, None),
        ("\trespond-async ", true, None),
        (r#"respond-async="""#, true, None),
        ("respond-async=", true, None),
        ("respond-async=foo", false, None),
        ("respond-async=foo, respond-async", false, None),
        ("respond-async, respond-async=foo", true, None),
        ("respond-asynchronously", false, None),
        ("respond-async, wait=10", true, Some(10)),
        ("wait=10,respond-async", true, Some(10)),
        (",wait=10,,respond-async,", true, Some(10)),
        ("WAIT \t=\t 007", false, Some(7)),
        (r#"wait="10""#, false, Some(10)),
        (r#"wait="1\0""#, false, Some(10)),
        ("wait=0", false, Some(0)),
        ("wait=4294967296", false, largest),
        ("wait=99999999999999999999999999", false, largest),
        ("wait=1, wait=2", false, Some(1)),
        ("wait, wait=2", false, None),
        ("wait=, wait=2", false, None),
        ("wait=soon, wait=2", false, None),
        ("wait=-1, wait=2", false, None),
        ("wait=1.5", false, None),
        ("wait=\"1 \"", false, None),
        ("wait=10; x; y=1 ;z = \"a,;b\";;", false, Some(10)),
        ("foo;wait=10", false, None),
        ("foo; respond-async, wait=5", false, Some(5)),
        (r#"foo="respond-async, wait=1", wait=5"#, false, Some(5)),
        (r#"foo="\", respond-async, \"", wait=5"#, false, Some(5)),
        (r#"foo="\\", wait=5"#, false, Some(5)),
    ] {
        assert_eq!(parse(&[line.as_bytes()]), preferences(respond_async, wait), "{line:?}");
    }
}

#[test]
fn a_malformed_element_is_skipped_and_the_rest_counts() {
    for line in [
        "foo bar, respond-async",
        "=x, respond-async",
        "; x, respond-async",
        "wait=1:0, respond-async",
        "wait=1 2, respond-async",
        "respond-async x, respond-async",
        "respond-async;=, respond-async",
        r#"foo="a"b, respond-async"#,
        r#"foo "a, wait=1", respond-async"#,
        r#"respond-async, foo="open, wait=1"#,
        r#"respond-async, foo="\", wait=1"#,
    ] {
        assert_eq!(parse(&[line.as_bytes()]), preferences(true, None), "{line:?}");
    }
    assert_eq!(parse(&[b"wait=\xff, wait=3, caf\xe9"]), preferences(false, Some(3)));
}

#[test]
fn several_lines_are_one_list() {
    let lines: [(&[&[u8]], _); 5] = [
        (&[b"respond-async", b"wait=10"], preferences(true, Some(10))),
        (&[b"wait=10", b"respond-async, wait=20"], preferences(true, Some(10))),
        (&[b"wait=soon", b"wait=20"], preferences(false, None)),
        (&[b"respond-async=no", b"respond-async"], preferences(false, None)),
        (&[b"foo=\"open", b"respond-async"], preferences(true, None)),
    ];
    for (lines, expected) in lines {
        assert_eq!(parse(lines), expected, "{lines:?}");
    }
}

#[test]
fn applied_names_what_was_honoured() {
    let ten = Some(Duration::from_secs(10));
    assert_eq!(applied(false, None), None);
    assert_eq!(applied(true, None).unwrap(), "respond-async");
    assert_eq!(applied(false, ten).unwrap(), "wait=10");
    assert_eq!(applied(true, ten).unwrap(), "respond-async, wait=10");
}

/// The same rules, slowly: cut the list at commas, the element at semicolons, the pair at the
/// equals sign.
mod model {
    use super::*;

    pub(super) fn parse(lines: &[Vec<u8>]) -> Preferences {
        let pairs: Vec<_> = lines.iter().flat_map(|line| split(line, b',')).filter_map(|it| element(&it)).collect();
        let first = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice());
        let wait = first("wait").filter(|it| !it.is_empty() && it.iter().all(u8::is_ascii_digit));
        let wait = wait.map(|it| String::from_utf8_lossy(it).parse::<u32>().unwrap_or(u32::MAX));
        preferences(first("respond-async") == Some(b""), wait.map(u64::from))
    }

    fn split(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
        let mut parts = vec![Vec::new()];
        let (mut quoted, mut escaped) = (false, false);
        for &byte in text {
            if byte == separator && !quoted {
                parts.push(Vec::new());
                continue;
            }
            quoted ^= byte == b'"' && !escaped;
            escaped = quoted && byte == b'\\' && !escaped;
            parts.last_mut().unwrap().push(byte);
        }
        parts
    }

    fn element(text: &[u8]) -> Option<(String, Vec<u8>)> {
        let mut parts = split(text, b';').into_iter();
        let main = pair(&parts.next()?)?;
        let well_formed = parts.all(|it| trim(&it).is_empty() || pair(&it).is_some());
        well_formed.then_some(main)
    }

    fn pair(text: &[u8]) -> Option<(String, Vec<u8>)> {
        let mut parts = text.splitn(2, |&byte| byte == b'=');
        let name = trim(parts.next()?);
        let value = trim(parts.next().unwrap_or_default());
        (!name.is_empty() && is_token(name)).then_some(())?;
        let name = String::from_utf8(name.to_ascii_lowercase()).unwrap();
        let value = match value.first() {
            Some(b'"') => unquote(value)?,
            _ => is_token(value).then(|| value.to_vec())?,
        };
        Some((name, value))
    }

    fn unquote(text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = text.iter().skip(1);
        let mut value = Vec::new();
        loop {
            match bytes.next()? {
                b'"' => return bytes.next().is_none().then_some(value),
                b'\\' => value.push(*bytes.next()?),
                byte => value.push(*byte),
            }
        }
    }

    fn is_token(text: &[u8]) -> bool {
        text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
    }

    fn trim(text: &[u8]) -> &[u8] {
        text.trim_ascii()
    }
}

/// Lines made of the pieces that matter, so that most of them are nearly right.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"respond-async",
        b"Respond-Async",
        b"wait",
        b"wait=",
        b"foo",
        b"10",
        b"007",
        b"-1",
        b"9999999999999",
        b"=",
        b"=",
        b",",
        b",",
        b", ",
        b";",
        b"; ",
        b" ",
        b"\t",
        b"\"",
        b"\"",
        b"\"\"",
        b"\\",
        b"\\\"",
        b":",
        b"\xff",
        b"\xc3\xa9",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..16).prop_map(|pieces| pieces.concat())
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..40)
}

prop_compose! {
    /// One well-formed preference, written in one of the many ways the grammar allows.
    fn spelled(name: &'static str, value: String)(
        upper in any::<bool>(), quoted in any::<bool>(), before in "[ \t]{0,2}", after in "[ \t]{0,2}",
        parameters in prop::sample::select(vec!["", ";", " ; a", ";a=b; c", r#"; wait=1; a="x,respond-async\"""#]),
    ) -> String {
        let name = if upper { name.to_ascii_uppercase() } else { name.to_owned() };
        match (value.as_str(), quoted) {
            ("", false) => format!("{name}{parameters}"),
            (value, false) => format!("{name}{before}={after}{value}{parameters}"),
            (value, true) => format!("{name}{before}={after}\"{value}\"{parameters}"),
        }
    }
}

fn wanted() -> impl Strategy<Value = (Preferences, Vec<String>)> {
    (any::<bool>(), any::<Option<u32>>()).prop_flat_map(|(respond_async, wait)| {
        let mut parts = vec![spelled("return", "minimal".into()).boxed()];
        if respond_async {
            parts.push(spelled(RESPOND_ASYNC, String::new()).boxed());
        }
        parts.extend(wait.map(|wait| spelled("wait", wait.to_string()).boxed()));
        (Just(preferences(respond_async, wait.map(u64::from))), parts.prop_shuffle())
    })
}

proptest! {
    #[test]
    fn agrees_with_the_model(lines in prop::collection::vec(prop_oneof![4 => line(), 1 => any_line()], 0..4)) {
        let borrowed: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(parse(&borrowed), model::parse(&lines));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        Preferences::from_lines(bytes.split(|&byte| byte == 0));
    }

    #[test]
    fn what_is_written_is_read((wanted, parts) in wanted(), separator in prop::sample::select(vec![",", ", ", " ,, ,\t"])) {
        let lines: Vec<_> = parts.iter().map(String::as_bytes).collect();
        prop_assert_eq!(parse(&lines), wanted);
        prop_assert_eq!(parse(&[parts.join(separator).as_bytes()]), wanted);
    }

    #[test]
    fn what_is_applied_is_read(respond_async: bool, wait: Option<u32>) {
        let wanted = preferences(respond_async, wait.map(u64::from));
        let value = applied(wanted.respond_async, wanted.wait);
        let line = value.as_ref().map(HeaderValue::as_bytes);
        prop_assert_eq!(parse(line.as_slice()), wanted);
    }
}
