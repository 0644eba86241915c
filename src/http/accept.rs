//! Whether the client asks for server-sent events (RFC 9110, section 12.5.1).

use http::{HeaderMap, HeaderValue, header};

use super::grammar::{Cursor, Word};

const EVENT_STREAM: &str = "text/event-stream";

/// Whether `Accept` names `text/event-stream` with a weight above zero.
///
/// `*/*` and `text/*` do not count: nearly every client sends them, and only a few can read events.
pub(crate) fn wants_event_stream(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(line_wants_event_stream)
}

fn line_wants_event_stream(line: &HeaderValue) -> bool {
    // What `EventSource` sends.
    if line == EVENT_STREAM {
        return true;
    }
    // What most clients send is too short to name it.
    let mut cursor = Cursor::new(if line.len() < EVENT_STREAM.len() { b"" } else { line.as_bytes() });
    while cursor.next_element() {
        match wanted(&mut cursor) {
            Some(true) => return true,
            Some(false) => (),
            None => cursor.skip_element(),
        }
    }
    false
}

/// Reads one `type "/" subtype` with its parameters: whether it is the one, and wanted. `None` when
/// it is malformed.
fn wanted(cursor: &mut Cursor<'_>) -> Option<bool> {
    let media_type = cursor.take_while(|byte| !matches!(byte, b';' | b',' | b' ' | b'\t' | b'"'));
    let mut weight = None;
    cursor.parameters(|(name, value)| {
        if name.eq_ignore_ascii_case(b"q") {
            weight.get_or_insert(value);
        }
    })?;
    Some(media_type.eq_ignore_ascii_case(EVENT_STREAM.as_bytes()) && weight.is_none_or(is_positive))
}

/// Whether a `qvalue` is above zero. One that is no number counts as zero.
fn is_positive(weight: Word<'_>) -> bool {
    let mut bytes = weight.bytes();
    bytes.clone().all(|byte| byte.is_ascii_digit() || byte == b'.') && bytes.any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(lines: &[&[u8]]) -> bool {
        let lines = lines.iter().map(|line| (header::ACCEPT, HeaderValue::from_bytes(line).unwrap()));
        wants_event_stream(&lines.collect())
    }

    #[test]
    fn when_it_is_named() {
        for line in [
            "text/event-stream",
            "Text/Event-Stream",
            "text/event-stream, */*;q=0.1",
            "application/json;q=0.9,text/event-stream;q=0.001",
            "text/event-stream;charset=utf-8 ; Q=1",
            r#"x/y;a="text/plain,\"", text/event-stream"#,
            "broken thing, text/event-stream",
            ",, text/event-stream ,",
        ] {
            assert!(wants(&[line.as_bytes()]), "{line}");
        }
        assert!(wants(&[b"application/json", b"text/event-stream"]));
        assert!(wants(&[b"\xff", b"text/event-stream"]));
    }

    #[test]
    fn not_otherwise() {
        for line in [
            "",
            "*/*",
            "text/*",
            "application/json",
            "text/event-stream;q=0",
            "text/event-stream; q=0.000",
            "text/event-stream;q=",
            "text/event-stream;q=no1",
            "text/event-stream-2",
            "text/event-stream x",
            r#"x/y;a="text/event-stream""#,
            r#"x/y;a=", text/event-stream"#,
        ] {
            assert!(!wants(&[line.as_bytes()]), "{line}");
        }
        assert!(!wants(&[]));
    }
}
