//! What the client would like (RFC 7240): `respond-async` and `wait`, out of all that `Prefer` may
//! say.
//!
//! A preference is never an error. What cannot be read, or is not known, is passed over, and the
//! rest of the list still counts. Where the RFC leaves room:
//!
//! - An element that does not follow the grammar is as good as absent. A well-formed `wait` or
//!   `respond-async` whose value makes no sense is not: it is the first of its name, so it hides
//!   the later ones.
//! - `name=`, with nothing after it, has an empty value and so none (section 2 of the RFC: "empty
//!   or zero-length").
//! - `wait="10"` means `wait=10`: a value may be a token or a quoted string.
//! - A quoted string ends with its line at the latest; it does not reach into the next `Prefer`
//!   line.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::grammar::{Cursor, Pair, Word, digits, written};

pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

const RESPOND_ASYNC: &str = "respond-async";

/// The preferences of one request that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// The client would rather have a 202 than wait.
    pub(crate) respond_async: bool,
    /// How long the client is ready to wait. At most `u32::MAX` seconds, about 136 years, so that
    /// adding it to a clock is safe.
    pub(crate) wait: Option<Duration>,
}

impl Preferences {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(PREFER);
        let mut each = lines.iter();
        match (each.next(), each.next()) {
            (None, _) => Self::default(),
            (Some(only), None) if only == RESPOND_ASYNC => Self { respond_async: true, wait: None },
            _ => Self::from_lines(lines.iter().map(HeaderValue::as_bytes)),
        }
    }

    fn from_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut respond_async: Option<Word<'a>> = None;
        let mut wait: Option<Word<'a>> = None;
        for line in lines {
            let mut cursor = Cursor::new(line);
            while cursor.next_element() {
                let Some((name, value)) = preference(&mut cursor) else {
                    cursor.skip_element();
                    continue;
                };
                if name.eq_ignore_ascii_case(RESPOND_ASYNC.as_bytes()) {
                    respond_async.get_or_insert(value);
                } else if name.eq_ignore_ascii_case(b"wait") {
                    wait.get_or_insert(value);
                }
            }
        }
        Self { respond_async: respond_async.is_some_and(Word::is_empty), wait: wait.and_then(delta_seconds) }
    }
}

/// One element of the list. None of its parameters means anything to `respond-async` or `wait`.
fn preference<'a>(cursor: &mut Cursor<'a>) -> Option<Pair<'a>> {
    let pair = cursor.pair()?;
    cursor.parameters(|_| ())?;
    Some(pair)
}

fn delta_seconds(value: Word<'_>) -> Option<Duration> {
    let seconds = digits(value.bytes())?;
    Some(Duration::from_secs(seconds.min(u64::from(u32::MAX))))
}

/// The value of `Preference-Applied` that says which preferences were honoured; `None` when none
/// was. The wait counts in whole seconds.
pub(crate) fn applied(respond_async: bool, wait: Option<Duration>) -> Option<HeaderValue> {
    match (respond_async, wait.map(|wait| wait.as_secs())) {
        (false, None) => None,
        (true, None) => Some(HeaderValue::from_static(RESPOND_ASYNC)),
        (false, Some(seconds)) => Some(written(format!("wait={seconds}"))),
        (true, Some(seconds)) => Some(written(format!("respond-async, wait={seconds}"))),
    }
}

#[cfg(test)]
mod tests;
