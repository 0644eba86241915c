//! What header fields are made of (RFC 9110, section 5.6): tokens, quoted strings, whitespace,
//! lists.
//!
//! A [`Cursor`] walks over the bytes of one field line and borrows what it finds. It never panics,
//! whatever the bytes, and every step moves forward.

use http::HeaderValue;

/// The unread rest of one field line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(&'a [u8]);

/// A token, or the inside of a quoted string with its backslashes still there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a>(&'a [u8]);

/// A name and its value, which is empty when there is none.
pub(crate) type Pair<'a> = (&'a [u8], Word<'a>);

impl<'a> Word<'a> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The bytes meant, escapes resolved. A token has no backslash, so one rule serves both kinds.
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> + Clone + 'a {
        let mut raw = self.0.iter().copied();
        std::iter::from_fn(move || match raw.next() {
            Some(b'\\') => raw.next(),
            byte => byte,
        })
    }
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line: &'a [u8]) -> Self {
        Self(line)
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Takes `byte` if it comes next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        self.eat_all(&[byte])
    }

    /// Takes `bytes` if they come next.
    pub(crate) fn eat_all(&mut self, bytes: &[u8]) -> bool {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// `OWS`, which is also `BWS`.
    pub(crate) fn whitespace(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// `token`.
    pub(crate) fn token(&mut self) -> Option<&'a [u8]> {
        let token = self.take_while(is_token_byte);
        (!token.is_empty()).then_some(token)
    }

    /// `token [ BWS "=" BWS [ token / quoted-string ] ]`.
    pub(crate) fn pair(&mut self) -> Option<Pair<'a>> {
        let name = self.token()?;
        self.whitespace();
        if !self.eat(b'=') {
            return Some((name, Word(&[])));
        }
        self.whitespace();
        let value = match self.peek() {
            Some(b'"') => self.quoted_string()?,
            _ => Word(self.take_while(is_token_byte)),
        };
        Some((name, value))
    }

    /// `*( OWS ";" OWS [ pair ] ) OWS`, up to the end of the list element; `None` when something
    /// else is in the way.
    pub(crate) fn parameters(&mut self, mut each: impl FnMut(Pair<'a>)) -> Option<()> {
        loop {
            self.whitespace();
            if self.at_element_end() {
                return Some(());
            }
            if !self.eat(b';') {
                return None;
            }
            self.whitespace();
            if self.peek().is_some_and(is_token_byte) {
                each(self.pair()?);
            }
        }
    }

    /// Goes to the next element of a list, past commas and whitespace; `false` when there is none.
    pub(crate) fn next_element(&mut self) -> bool {
        self.take_while(|byte| matches!(byte, b' ' | b'\t' | b','));
        self.peek().is_some()
    }

    /// Goes to the comma that ends this element: not to one inside a quoted string.
    pub(crate) fn skip_element(&mut self) {
        while !self.at_element_end() {
            self.take_while(|byte| !matches!(byte, b',' | b'"'));
            if self.peek() == Some(b'"') {
                self.quoted_string();
            }
        }
    }

    pub(crate) fn at_element_end(&self) -> bool {
        matches!(self.peek(), None | Some(b','))
    }

    /// `quoted-string`; one that does not end takes the rest of the line with it.
    fn quoted_string(&mut self) -> Option<Word<'a>> {
        let inside = self.0.strip_prefix(b"\"")?;
        let mut escaped = false;
        let end = inside.iter().position(|&byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        });
        let (text, rest) = inside.split_at(end.unwrap_or(inside.len()));
        self.0 = rest.strip_prefix(b"\"").unwrap_or_default();
        end.map(|_| Word(text))
    }

    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| !wanted(byte));
        let (taken, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// `tchar` (RFC 9110, section 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Reads `1*DIGIT`; a number too large for `u64` becomes the largest one.
pub(crate) fn digits(text: impl IntoIterator<Item = u8>) -> Option<u64> {
    let mut text = text.into_iter().peekable();
    text.peek()?;
    text.try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

/// A field value out of text that was written here and is visible ASCII, for which the conversion
/// cannot fail.
pub(crate) fn written(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_name_with_or_without_a_value() {
        for (line, name, value) in [
            ("a", "a", ""),
            ("a=b", "a", "b"),
            ("a \t=\t b", "a", "b"),
            ("a=", "a", ""),
            (r#"a="""#, "a", ""),
            (r#"a="b,c;d""#, "a", "b,c;d"),
            (r#"a="b\"\\c""#, "a", r#"b"\c"#),
        ] {
            let (found, word) = Cursor::new(line.as_bytes()).pair().unwrap();
            assert_eq!(found, name.as_bytes(), "{line}");
            assert_eq!(word.bytes().collect::<Vec<_>>(), value.as_bytes(), "{line}");
        }
        for line in ["", "=a", r#"a="b"#, r#"a="b\""#, "é"] {
            assert!(Cursor::new(line.as_bytes()).pair().is_none(), "{line}");
        }
    }

    #[test]
    fn elements_end_at_commas_outside_quotes() {
        let mut cursor = Cursor::new(br#" , a "b,\"," c ,, d , "open, e"#);
        let mut starts = Vec::new();
        while cursor.next_element() {
            starts.push(cursor.peek().unwrap());
            cursor.skip_element();
        }
        assert_eq!(starts, b"ad\"");
    }

    #[test]
    fn numbers_saturate_and_take_nothing_but_digits() {
        assert_eq!(digits(*b"0010"), Some(10));
        assert_eq!(digits(*b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(digits(*b"99999999999999999999999"), Some(u64::MAX));
        for text in ["", "-1", "+1", "1.5", "1 ", "x"] {
            assert_eq!(digits(text.bytes()), None, "{text}");
        }
    }
}
