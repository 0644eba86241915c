//! Doors for the fuzz targets, which can only reach what is public. Not part of the interface.

use std::ops::Range;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};

use crate::http::prefer::Preferences;
use crate::http::range::Requested;
use crate::http::{conditional, forwarded, prefer, range};

/// `respond-async` and `wait`.
#[must_use]
pub fn preferences(headers: &HeaderMap) -> (bool, Option<Duration>) {
    let Preferences { respond_async, wait } = Preferences::from_headers(headers);
    (respond_async, wait)
}

/// The value of `Preference-Applied`.
#[must_use]
pub fn preference_applied(respond_async: bool, wait: Option<Duration>) -> Option<HeaderValue> {
    prefer::applied(respond_async, wait)
}

/// The part asked for: none when it is the whole, an error when there is no such part.
#[expect(clippy::result_unit_err, reason = "there is nothing to say about it")]
pub fn requested_range(line: Option<&HeaderValue>, length: u64) -> Result<Option<Range<u64>>, ()> {
    match range::requested(line, length) {
        Requested::Whole => Ok(None),
        Requested::Part(part) => Ok(Some(part)),
        Requested::Unsatisfiable => Err(()),
    }
}

/// The value of `Content-Range`.
#[must_use]
pub fn content_range(part: &Range<u64>, length: u64) -> HeaderValue {
    range::content_range(part, length)
}

/// What `If-None-Match` says.
#[must_use]
pub fn not_modified(headers: &HeaderMap, entity_tag: &HeaderValue) -> bool {
    conditional::not_modified(headers, entity_tag)
}

/// What `If-Range` says.
#[must_use]
pub fn range_applies(headers: &HeaderMap, entity_tag: &HeaderValue) -> bool {
    conditional::range_applies(headers, entity_tag)
}

/// The origin that proxies tell.
#[must_use]
pub fn origin(headers: &HeaderMap) -> Option<String> {
    forwarded::origin(headers, None)
}
