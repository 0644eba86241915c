//! Statements with their values written into them, so that each is one message and needs nothing prepared: that passes
//! every proxy. All that is written is numbers, hexadecimal digits and NULL, so nothing needs escaping.

use std::fmt::Write;

use crate::operation::OperationId;

/// The server's clock, in milliseconds; the same throughout a statement.
const NOW: &str = "(extract(epoch FROM statement_timestamp()) * 1000)::int8";

/// The longest time that is reckoned with, in milliseconds, so that no sum is too large: thirty thousand years.
pub(super) const LONGEST: i64 = 1_000_000_000_000_000;

/// Fills in a template: `{p}` is the tables' prefix, `{now}` the server's time, and the rest is as given, or nothing.
pub(super) fn render(template: &str, prefix: &str, values: &[(&str, &str)]) -> String {
    let mut rendered =
        String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        rendered.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        match name {
            "p" => rendered.push_str(prefix),
            "now" => rendered.push_str(NOW),
            name => rendered.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)),
        }
        rest = after;
    }
    rendered.push_str(rest);
    rendered
}

pub(super) fn id(id: OperationId) -> String {
    format!("'{id}'::uuid")
}

pub(super) fn bytes(bytes: Option<&[u8]>) -> String {
    match bytes {
        Some(bytes) => format!("decode('{}', 'hex')", Hex(bytes)),
        None => "NULL::bytea".to_owned(),
    }
}

pub(super) fn ids(ids: impl IntoIterator<Item = OperationId>) -> String {
    array("uuid", ids, |id, array| write!(array, "{id}"))
}

pub(super) fn numbers(numbers: impl IntoIterator<Item = Option<i64>>) -> String {
    array("int8", numbers, |number, array| match number {
        Some(number) => write!(array, "{number}"),
        None => array.write_str("NULL"),
    })
}

/// An array of text that `decode` makes bytes of.
pub(super) fn hex<B: AsRef<[u8]>>(items: impl IntoIterator<Item = Option<B>>) -> String {
    array("text", items, |item, array| match item {
        Some(item) if item.as_ref().is_empty() => array.write_str("\"\""),
        Some(item) => write!(array, "{}", Hex(item.as_ref())),
        None => array.write_str("NULL"),
    })
}

/// An array of letters, of those that need no quotes.
pub(super) fn letters(letters: impl IntoIterator<Item = Option<char>>) -> String {
    array("text", letters, |letter, array| match letter {
        Some(letter) => write!(array, "{letter}"),
        None => array.write_str("NULL"),
    })
}

/// An array of 16 bytes each.
pub(super) fn digests(items: impl IntoIterator<Item = Option<[u8; 16]>>) -> String {
    array("uuid", items, |item, array| match item {
        Some(item) => write!(array, "{}", Hex(&item)),
        None => array.write_str("NULL"),
    })
}

fn array<T>(
    of: &str,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut String) -> std::fmt::Result,
) -> String {
    let mut array = "'{".to_owned();
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            array.push(',');
        }
        // Writing to a string does not fail.
        let _written = write(item, &mut array);
    }
    array.push_str("}'::");
    array.push_str(of);
    array.push_str("[]");
    array
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // In pieces, since a call for each byte would be slow.
        let mut piece = String::with_capacity(512);
        for bytes in self.0.chunks(256) {
            piece.clear();
            for byte in bytes {
                piece.push(DIGITS[usize::from(byte >> 4)].into());
                piece.push(DIGITS[usize::from(byte & 15)].into());
            }
            formatter.write_str(&piece)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let rendered = render("SELECT {a}, {now} FROM {p}live WHERE id = {b}", "x_", &[("a", "1"), ("b", "'{2}'")]);
        assert_eq!(rendered, format!("SELECT 1, {NOW} FROM x_live WHERE id = '{{2}}'"));
    }

    #[test]
    fn whatever_the_bytes_are_only_digits_are_written() {
        assert_eq!(bytes(Some(b"\0'\\\xff")), "decode('00275cff', 'hex')");
        assert_eq!(bytes(None), "NULL::bytea");
        assert_eq!(hex([Some(&b"'}"[..]), None, Some(b"")]), "'{277d,NULL,\"\"}'::text[]");
        assert_eq!(numbers([Some(-1), None]), "'{-1,NULL}'::int8[]");
        assert_eq!(digests([Some([7; 16])]), "'{07070707070707070707070707070707}'::uuid[]");
    }

    #[test]
    fn long_bytes_are_written_whole() {
        let long: Vec<u8> = (0..1_000_u32).map(|byte| byte as u8).collect();
        let expected: String = long.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Hex(&long).to_string(), expected);
    }
}
