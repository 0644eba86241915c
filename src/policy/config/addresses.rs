//! Reads where the status monitor is found: its path, and the server's public URL.

use ::http::Uri;

use super::{
    place::{Place, Read},
    value::Value,
};

const A_PATH: &str = r#"a path such as "/operations""#;
const A_URL: &str = r#"an absolute URL such as "https://api.example.com", without user, query and fragment"#;

/// A path of plain segments, without a slash at the end.
pub(super) fn base_path(place: &Place<'_>) -> Read<String> {
    match without_last_slash(place) {
        Some(path) if is_path(path) => Ok(path.to_owned()),
        _ => Err(place.expected(A_PATH)),
    }
}

/// An absolute `http` or `https` URL, without a slash at the end.
pub(super) fn public_url(place: &Place<'_>) -> Read<String> {
    match without_last_slash(place) {
        Some(url) if is_absolute_url(url) => Ok(url.to_owned()),
        _ => Err(place.expected(A_URL)),
    }
}

fn without_last_slash<'f>(place: &Place<'f>) -> Option<&'f str> {
    match place.value() {
        Value::Text(text) => Some(text.strip_suffix('/').unwrap_or(text)),
        _ => None,
    }
}

fn is_absolute_url(text: &str) -> bool {
    let Ok(url) = text.parse::<Uri>() else {
        return false;
    };
    // `Uri` forgets a fragment.
    matches!(url.scheme_str(), Some("http" | "https"))
        && url.authority().is_some_and(|host| !host.as_str().contains('@'))
        && !text.contains(['?', '#'])
}

fn is_path(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|segments| segments.split('/').all(is_segment))
}

/// Whether the text is a path segment of RFC 3986 that no router takes for a pattern.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte))
}
