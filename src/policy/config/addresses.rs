//! Reads where the status monitor is found: its path, and the server's public URL.

use super::{
    place::{Place, Read},
    value::Value,
};
use crate::http::address::{is_base_path, is_public_url};

const A_PATH: &str = r#"a path such as "/operations""#;
const A_URL: &str = r#"an absolute URL such as "https://api.example.com", without user, query and fragment"#;

/// A path of plain segments, without a slash at the end, or the slash alone.
pub(super) fn base_path(place: &Place<'_>) -> Read<String> {
    if text(place) == Some("/") {
        return Ok("/".to_owned());
    }
    match text(place).map(without_last_slash) {
        Some(path) if !path.is_empty() && is_base_path(path) => Ok(path.to_owned()),
        _ => Err(place.expected(A_PATH)),
    }
}

/// An absolute `http` or `https` URL, without a slash at the end.
pub(super) fn public_url(place: &Place<'_>) -> Read<String> {
    match text(place).map(without_last_slash) {
        Some(url) if is_public_url(url) => Ok(url.to_owned()),
        _ => Err(place.expected(A_URL)),
    }
}

fn text<'f>(place: &Place<'f>) -> Option<&'f str> {
    match place.value() {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn without_last_slash(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}
