//! Conditional requests on a resource that has an entity tag (RFC 9110, sections 8.8.3 and 13.1).
//!
//! Whatever cannot be read means that the condition is not met, so that the client gets the whole
//! reply: a safe answer to any question.

use http::{HeaderMap, HeaderValue, header};

use super::grammar::Cursor;

/// Whether `If-None-Match` says that the client has this representation already: the answer is 304.
///
/// Tags are compared weakly; `*` matches any.
pub(crate) fn not_modified(headers: &HeaderMap, entity_tag: &HeaderValue) -> bool {
    let mut lines = headers.get_all(header::IF_NONE_MATCH).iter();
    lines.any(|line| {
        line == "*"
            || EntityTag::parse(entity_tag).is_some_and(|current| any_tag(line, |tag| tag.opaque == current.opaque))
    })
}

/// Whether `Range` may be honoured: there is no `If-Range`, or it names exactly this
/// representation.
///
/// Tags are compared strongly, so a weak one never matches. Neither does a date: replies are told
/// apart by tags alone.
pub(crate) fn range_applies(headers: &HeaderMap, entity_tag: &HeaderValue) -> bool {
    let mut conditions = headers.get_all(header::IF_RANGE).iter();
    match (conditions.next(), conditions.next()) {
        (None, _) => true,
        (Some(condition), None) => is_strong_match(condition, entity_tag),
        (Some(_), Some(_)) => false,
    }
}

fn is_strong_match(one: &HeaderValue, other: &HeaderValue) -> bool {
    match (EntityTag::parse(one), EntityTag::parse(other)) {
        (Some(one), Some(other)) => !one.weak && !other.weak && one.opaque == other.opaque,
        _ => false,
    }
}

/// Whether one of the tags in the list is `wanted`. It is read up to the first thing that is not a
/// tag.
fn any_tag(line: &HeaderValue, wanted: impl Fn(EntityTag<'_>) -> bool) -> bool {
    let mut cursor = Cursor::new(line.as_bytes());
    while cursor.next_element() {
        match EntityTag::read(&mut cursor) {
            Some(tag) if wanted(tag) => return true,
            Some(_) => (),
            None => return false,
        }
    }
    false
}

#[derive(Clone, Copy)]
struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    fn parse(value: &'a HeaderValue) -> Option<Self> {
        let mut cursor = Cursor::new(value.as_bytes());
        let tag = Self::read(&mut cursor)?;
        cursor.peek().is_none().then_some(tag)
    }

    /// `[ "W/" ] DQUOTE *etagc DQUOTE` up to the end of the list element. There are no escapes in
    /// it: a backslash is a backslash.
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let weak = cursor.eat_all(b"W/");
        if !cursor.eat(b'"') {
            return None;
        }
        let opaque = cursor.take_while(|byte| byte > b' ' && byte != b'"' && byte != 0x7f);
        if !cursor.eat(b'"') {
            return None;
        }
        cursor.whitespace();
        cursor.at_element_end().then_some(Self { weak, opaque })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(name: &header::HeaderName, lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line).unwrap())).collect()
    }

    fn tag(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (line, current, expected) in [
            (r#""1""#, r#""1""#, true),
            (r#"W/"1""#, r#""1""#, true),
            (r#""1""#, r#"W/"1""#, true),
            (r#""2""#, r#""1""#, false),
            (r#""0", W/"1""#, r#""1""#, true),
            (r#", ,"0",,"1" ,"#, r#""1""#, true),
            (r#""a,b""#, r#""a,b""#, true),
            (r#""a,b""#, r#""b""#, false),
            (r#""a\""#, r#""a\""#, true),
            (r#""""#, r#""""#, true),
            ("*", r#""1""#, true),
            ("*", "no tag", true),
            (r#"*, "1""#, r#""1""#, false),
            (r#""0", *"#, r#""1""#, false),
            ("1", r#""1""#, false),
            (r#"w/"1""#, r#""1""#, false),
            (r#""1"#, r#""1""#, false),
            (r#""0" "1""#, r#""1""#, false),
            (r#""x, "1""#, r#""1""#, false),
            (r#""1" x"#, r#""1""#, false),
            ("1", "1", false),
            ("", r#""1""#, false),
        ] {
            let headers = with(&header::IF_NONE_MATCH, &[line.as_bytes()]);
            assert_eq!(not_modified(&headers, &tag(current)), expected, "{line} {current}");
        }
    }

    #[test]
    fn if_none_match_may_have_several_lines_or_none() {
        let one = tag(r#""1""#);
        assert!(!not_modified(&HeaderMap::new(), &one));
        assert!(not_modified(&with(&header::IF_NONE_MATCH, &[br#""0""#, br#""1""#]), &one));
        assert!(not_modified(&with(&header::IF_NONE_MATCH, &[b"nonsense", b"*"]), &one));
        assert!(!not_modified(&with(&header::IF_NONE_MATCH, &[br#""0""#, b"\xff"]), &one));
    }

    #[test]
    fn if_range_compares_strongly() {
        for (line, current, expected) in [
            (r#""1""#, r#""1""#, true),
            (r#""2""#, r#""1""#, false),
            (r#"W/"1""#, r#""1""#, false),
            (r#""1""#, r#"W/"1""#, false),
            (r#"W/"1""#, r#"W/"1""#, false),
            (r#""1", "1""#, r#""1""#, false),
            ("*", r#""1""#, false),
            ("Sat, 29 Oct 1994 19:43:31 GMT", r#""1""#, false),
            ("", r#""1""#, false),
        ] {
            let headers = with(&header::IF_RANGE, &[line.as_bytes()]);
            assert_eq!(range_applies(&headers, &tag(current)), expected, "{line} {current}");
        }
        assert!(range_applies(&HeaderMap::new(), &tag(r#""1""#)));
        assert!(!range_applies(&with(&header::IF_RANGE, &[br#""1""#, br#""1""#]), &tag(r#""1""#)));
    }

    proptest! {
        #[test]
        fn a_tag_is_found_wherever_it_stands_in_a_list(
            before in prop::collection::vec("(W/)?\"[!#-~]{0,6}\"", 0..4), opaque in "[!#-~]{0,6}",
            after in prop::collection::vec("(W/)?\"[!#-~]{0,6}\"", 0..4),
        ) {
            let mut tags = before;
            tags.push(format!("\"{opaque}\""));
            tags.extend(after);
            let headers = with(&header::IF_NONE_MATCH, &[tags.join(", ").as_bytes()]);
            let current = tag(&format!("W/\"{opaque}\""));
            prop_assert!(not_modified(&headers, &current));
            prop_assert!(!not_modified(&headers, &tag("\"0123456789\"")));
        }
    }
}
