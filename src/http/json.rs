//! Writes JSON (RFC 8259) straight into a byte buffer.
//!
//! Status and problem documents are small, of a known shape, and written once per poll, so nothing
//! more is needed. An object or array is closed when the function that fills it returns; keys are
//! written as they are, and so must be unique and hold nothing that needs escaping.
//!
//! ```text
//! json::object(&mut buffer, |document| {
//!     document.string("state", "running");
//!     document.object("progress", |progress| progress.float("fraction", 0.4));
//! });
//! ```

use std::io::Write;

/// Writes an object at the end of `buffer`.
pub(crate) fn object(buffer: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    buffer.push(b'{');
    fill(&mut Object { buffer, started: false });
    buffer.push(b'}');
}

/// An object that is being written.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    buffer: &'a mut Vec<u8>,
    started: bool,
}

impl Object<'_> {
    pub(crate) fn string(&mut self, key: &str, value: &str) {
        write_string(self.member(key), value);
    }

    /// For a text without characters that need escaping.
    pub(crate) fn plain(&mut self, key: &str, value: &str) {
        self.written(key, |buffer| buffer.extend_from_slice(value.as_bytes()));
    }

    /// For what writes a text without characters that need escaping.
    pub(crate) fn written(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let buffer = self.member(key);
        buffer.push(b'"');
        write(buffer);
        buffer.push(b'"');
    }

    pub(crate) fn integer(&mut self, key: &str, value: u64) {
        write_number(self.member(key), value);
    }

    /// JSON has no infinities and no NaN: they become `null`.
    pub(crate) fn float(&mut self, key: &str, value: f64) {
        write_float(self.member(key), value);
    }

    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.member(key), fill);
    }

    pub(crate) fn array(&mut self, key: &str, fill: impl FnOnce(&mut Array<'_>)) {
        array(self.member(key), fill);
    }

    fn member(&mut self, key: &str) -> &mut Vec<u8> {
        separate(self.buffer, &mut self.started);
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(key.as_bytes());
        self.buffer.extend_from_slice(b"\":");
        self.buffer
    }
}

/// An array that is being written.
#[derive(Debug)]
pub(crate) struct Array<'a> {
    buffer: &'a mut Vec<u8>,
    started: bool,
}

impl Array<'_> {
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.element(), fill);
    }

    fn element(&mut self) -> &mut Vec<u8> {
        separate(self.buffer, &mut self.started);
        self.buffer
    }
}

fn array(buffer: &mut Vec<u8>, fill: impl FnOnce(&mut Array<'_>)) {
    buffer.push(b'[');
    fill(&mut Array { buffer, started: false });
    buffer.push(b']');
}

fn separate(buffer: &mut Vec<u8>, started: &mut bool) {
    if std::mem::replace(started, true) {
        buffer.push(b',');
    }
}

fn write_float(buffer: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        // The shortest digits that read back as the same number, with an exponent when it is very
        // large or small.
        write_formatted(buffer, format_args!("{value:?}"));
    } else {
        buffer.extend_from_slice(b"null");
    }
}

fn write_number(buffer: &mut Vec<u8>, value: u64) {
    write_formatted(buffer, format_args!("{value}"));
}

fn write_formatted(buffer: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = buffer.write_fmt(text);
    debug_assert!(written.is_ok(), "a vector takes everything");
}

/// Copies whole runs of bytes that need no escape. Only quote, backslash and control characters
/// need one; all else, U+2028 too, may stand as it is (RFC 8259, section 7).
fn write_string(buffer: &mut Vec<u8>, value: &str) {
    buffer.reserve(value.len() + 2);
    buffer.push(b'"');
    let mut rest = value.as_bytes();
    // Without a branch for each byte, which makes short work of the usual text.
    let escapes = rest.iter().fold(false, |any, &byte| any | needs_escape(byte));
    while escapes && let Some(end) = rest.iter().position(|&byte| needs_escape(byte)) {
        let (plain, tail) = rest.split_at(end);
        buffer.extend_from_slice(plain);
        if let Some((&byte, tail)) = tail.split_first() {
            write_escape(buffer, byte);
            rest = tail;
        }
    }
    buffer.extend_from_slice(rest);
    buffer.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

fn write_escape(buffer: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => buffer.extend_from_slice(&[b'\\', byte]),
        b'\n' => buffer.extend_from_slice(b"\\n"),
        b'\r' => buffer.extend_from_slice(b"\\r"),
        b'\t' => buffer.extend_from_slice(b"\\t"),
        _ => write_formatted(buffer, format_args!("\\u{byte:04x}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Number, Value};

    use super::*;

    fn text(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut buffer = Vec::new();
        object(&mut buffer, fill);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn a_document() {
        let written = text(|it| {
            it.string("id", "a");
            it.integer("status", 200);
            it.plain("state", "running");
            it.float("fraction", 0.4);
            it.object("error", |_| ());
            it.array("operations", |operations| {
                operations.object(|it| it.string("last", "x"));
                operations.object(|_| ());
            });
        });
        let expected =
            r#"{"id":"a","status":200,"state":"running","fraction":0.4,"error":{},"operations":[{"last":"x"},{}]}"#;
        assert_eq!(written, expected);
    }

    #[test]
    fn strings_are_escaped_where_they_must_be() {
        for (value, expected) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("\n\r\t", r#""\n\r\t""#),
            ("\0\u{1f}", r#""\u0000\u001f""#),
            ("\u{7f}/é\u{2028}😀", "\"\u{7f}/é\u{2028}😀\""),
        ] {
            assert_eq!(text(|it| it.string("", value)), format!("{{\"\":{expected}}}"));
        }
    }

    #[test]
    fn floats_are_numbers_or_null() {
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.25, "-0.25"),
            (1e300, "1e300"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
            (f64::NEG_INFINITY, "null"),
        ] {
            assert_eq!(text(|it| it.float("f", value)), format!("{{\"f\":{expected}}}"));
        }
    }

    /// The values that the writer can write: texts, numbers, objects, and arrays of objects.
    fn document() -> impl Strategy<Value = Map<String, Value>> {
        // serde_json reads floats to within one unit in the last place, so these are exact in
        // binary.
        let float = (-1_000_000_i32..1_000_000).prop_map(|it| Number::from_f64(f64::from(it) / 64.0).unwrap());
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::String),
            any::<u64>().prop_map(|it| Value::Number(it.into())),
            float.prop_map(Value::Number),
        ];
        let value = leaf.prop_recursive(3, 24, 4, |inner| {
            let object = prop::collection::btree_map("[a-z]{0,8}", inner, 0..4)
                .prop_map(|it| Value::Object(it.into_iter().collect()));
            prop_oneof![object.clone(), prop::collection::vec(object, 0..4).prop_map(Value::Array)]
        });
        prop::collection::btree_map("[a-z]{0,8}", value, 0..6).prop_map(|it| it.into_iter().collect())
    }

    fn write_object(object: &mut Object<'_>, members: &Map<String, Value>) {
        for (key, value) in members {
            match value {
                Value::String(value) => object.string(key, value),
                Value::Number(value) => match value.as_u64() {
                    Some(value) => object.integer(key, value),
                    None => object.float(key, value.as_f64().unwrap()),
                },
                Value::Object(members) => object.object(key, |it| write_object(it, members)),
                Value::Array(elements) => object.array(key, |it| write_array(it, elements)),
                Value::Null | Value::Bool(_) => unreachable!("not generated"),
            }
        }
    }

    fn write_array(array: &mut Array<'_>, elements: &[Value]) {
        for element in elements {
            array.object(|it| write_object(it, element.as_object().unwrap()));
        }
    }

    proptest! {
        #[test]
        fn reads_back_as_it_was(document in document()) {
            let written = text(|it| write_object(it, &document));
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), Value::Object(document));
        }

        #[test]
        fn floats_read_back_exactly(value in any::<f64>().prop_filter("JSON has no others", |it| it.is_finite())) {
            let written = text(|it| it.float("", value));
            let digits = written.trim_start_matches("{\"\":").trim_end_matches('}');
            prop_assert_eq!(digits.parse::<f64>().unwrap().to_bits(), value.to_bits());
            prop_assert!(serde_json::from_str::<Value>(&written).is_ok());
        }
    }
}
