//! `Idempotency-Key`: the name a client gives a request, so that it is done once however often it is sent
//! (draft-ietf-httpapi-idempotency-key-header).

use http::{HeaderMap, HeaderName};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longer keys are no keys.
const LONGEST: usize = 255;

/// The field is not one string in quotes, of 1 to 255 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The key of a request that has the field: a string in quotes (RFC 8941, section 3.3.3), once.
pub(crate) fn parse(headers: &HeaderMap) -> Result<String, Malformed> {
    let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(Malformed) };
    let quoted = line.as_bytes().trim_ascii().strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let key = quoted.and_then(unescape).ok_or(Malformed)?;
    if (1..=LONGEST).contains(&key.len()) { Ok(key) } else { Err(Malformed) }
}

/// The characters meant. `None` where a quote is bare, a backslash stands before anything but itself and a quote, or a
/// character is not printable.
fn unescape(quoted: &[u8]) -> Option<String> {
    let mut key = String::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        key.push(match byte {
            b'\\' => bytes.next().filter(|escaped| matches!(escaped, b'\\' | b'"')).copied()?.into(),
            b'"' => return None,
            b' '..=b'~' => char::from(*byte),
            _ => return None,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parsed(lines: &[&[u8]]) -> Result<String, Malformed> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(line).unwrap());
        }
        parse(&headers)
    }

    #[test]
    fn a_key_is_a_string_in_quotes() {
        assert_eq!(parsed(&[br#""8e03978e-40d5-43dd""#]), Ok("8e03978e-40d5-43dd".to_owned()));
        assert_eq!(parsed(&[br#"  "a \"b\" \\ c"  "#]), Ok(r#"a "b" \ c"#.to_owned()));
        assert_eq!(parsed(&[format!("\"{}\"", "k".repeat(255)).as_bytes()]), Ok("k".repeat(255)));
    }

    #[test]
    fn anything_else_is_malformed() {
        let long = format!("\"{}\"", "k".repeat(256));
        for lines in [
            &[&b"bare"[..]][..],
            &[b""],
            &[b"\""],
            &[b"\"\""],
            &[b"\"open"],
            &[b"\"a\"b\""],
            &[b"\"a\\b\""],
            &[b"\"a\\\""],
            &[b"\"a\", \"b\""],
            &[b"\"a\";p=1"],
            &[b"\"caf\xc3\xa9\""],
            &[b"\"tab\there\""],
            &[long.as_bytes()],
            &[b"\"a\"", b"\"a\""],
            &[],
        ] {
            assert_eq!(parsed(lines), Err(Malformed), "{lines:?}");
        }
    }
}
