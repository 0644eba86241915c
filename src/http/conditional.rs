//! Conditional requests on a resource that has an entity tag (RFC 9110, sections 8.8.3 and 13.1).
//!
//! Whatever cannot be read means that the condition is not met, so that the client gets the whole
//! reply: a safe answer to any question.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::grammar::Cursor;

/// What the preconditions of a `GET` or `HEAD` come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is none that stands in the way.
    Proceed,
    /// The client has this representation already: 304.
    NotModified,
    /// This is not the representation that the client means: 412.
    Failed,
}

/// Evaluates all preconditions, in the order of section 13.2.2.
pub(crate) fn evaluate(headers: &HeaderMap, entity_tag: &HeaderValue, last_modified: Option<&HeaderValue>) -> Outcome {
    let modified_since = |condition| modified_since(headers, condition, last_modified);
    let fails = match headers.contains_key(header::IF_MATCH) {
        true => !matches(headers, entity_tag),
        false => modified_since(header::IF_UNMODIFIED_SINCE) == Some(true),
    };
    let not_modified = || match headers.contains_key(header::IF_NONE_MATCH) {
        true => not_modified(headers, entity_tag),
        false => modified_since(header::IF_MODIFIED_SINCE) == Some(false),
    };
    match () {
        () if fails => Outcome::Failed,
        () if not_modified() => Outcome::NotModified,
        () => Outcome::Proceed,
    }
}

/// Whether `If-Match` names this representation. Tags are compared strongly; `*` matches any.
fn matches(headers: &HeaderMap, entity_tag: &HeaderValue) -> bool {
    let current = EntityTag::parse(entity_tag).filter(|current| !current.weak);
    let mut lines = headers.get_all(header::IF_MATCH).iter();
    lines.any(|line| {
        line == "*" || current.is_some_and(|current| any_tag(line, |tag| !tag.weak && tag.opaque == current.opaque))
    })
}

/// Whether the representation was modified after the date of this condition. `None` where either
/// date is missing or is none, so that the condition is to be ignored.
fn modified_since(headers: &HeaderMap, condition: HeaderName, last_modified: Option<&HeaderValue>) -> Option<bool> {
    let modified = date(last_modified?)?;
    let mut lines = headers.get_all(condition).iter();
    let since = lines.next().filter(|_| lines.next().is_none())?;
    Some(modified > date(since)?)
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

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
    fn if_match_compares_strongly() {
        for (line, current, expected) in [
            (r#""1""#, r#""1""#, true),
            (r#""0", "1""#, r#""1""#, true),
            (r#""2""#, r#""1""#, false),
            (r#"W/"1""#, r#""1""#, false),
            (r#""1""#, r#"W/"1""#, false),
            (r#"W/"1""#, r#"W/"1""#, false),
            ("*", r#"W/"1""#, true),
            ("*", "no tag", true),
            ("1", r#""1""#, false),
            ("", r#""1""#, false),
        ] {
            let headers = with(&header::IF_MATCH, &[line.as_bytes()]);
            let outcome = if expected { Outcome::Proceed } else { Outcome::Failed };
            assert_eq!(evaluate(&headers, &tag(current), None), outcome, "{line} {current}");
        }
    }

    #[test]
    fn dates_are_compared_where_both_are_dates() {
        const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const LATE: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
        for (condition, modified, expected) in [
            (EARLY, EARLY, Some(false)),
            (EARLY, LATE, Some(true)),
            (LATE, EARLY, Some(false)),
            // The spellings of old (section 5.6.7).
            ("Sunday, 06-Nov-94 08:49:37 GMT", LATE, Some(true)),
            ("Sun Nov  6 08:49:37 1994", EARLY, Some(false)),
            ("1994-11-06", LATE, None),
            ("", LATE, None),
            (EARLY, "lately", None),
        ] {
            let of = |name| {
                let headers = with(&name, &[condition.as_bytes()]);
                evaluate(&headers, &tag(r#""1""#), Some(&tag(modified)))
            };
            let failed = if expected == Some(true) { Outcome::Failed } else { Outcome::Proceed };
            let not_modified = if expected == Some(false) { Outcome::NotModified } else { Outcome::Proceed };
            assert_eq!(of(header::IF_UNMODIFIED_SINCE), failed, "{condition} {modified}");
            assert_eq!(of(header::IF_MODIFIED_SINCE), not_modified, "{condition} {modified}");
        }
        let twice = with(&header::IF_MODIFIED_SINCE, &[LATE.as_bytes(), LATE.as_bytes()]);
        assert_eq!(evaluate(&twice, &tag(r#""1""#), Some(&tag(EARLY))), Outcome::Proceed);
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
