//! The reply of an operation.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request};

use super::{Asked, MonitorBody, not_found, problem, status};
use crate::{
    http::{
        conditional::{self, Outcome},
        problem::{Kind, Problem},
        range::{self, Requested},
    },
    hub::absence,
    operation::{OperationId, id, shared_body},
    store::{End, Snapshot},
};

/// `GET {id}/result`
pub(super) fn result(asked: &Asked, id: OperationId) -> Response<MonitorBody> {
    let Some(snapshot) = asked.read(id) else { return not_found() };
    match &snapshot.end {
        Some(end) => reply(asked, &snapshot, end),
        None => {
            let mut response = problem(Problem::new(Kind::OperationPending));
            status::ask_again(&mut response, &snapshot);
            response
        }
    }
}

/// The reply itself, or the problem document that says why there is none.
pub(super) fn reply(asked: &Asked, snapshot: &Snapshot, end: &Arc<End>) -> Response<MonitorBody> {
    let kept = &end.reply;
    if kept.is_empty()
        && let Some(kind) = absence(kept.ending())
    {
        return problem(Problem::new(kind));
    }
    let mut response = Response::new(MonitorBody::empty());
    *response.status_mut() = kept.status();
    *response.headers_mut() = kept.headers();
    keep_private(response.headers_mut());
    if kept.status() == StatusCode::OK {
        select(asked, snapshot, end, &mut response);
    } else {
        *response.body_mut() = whole(end, response.headers_mut());
    }
    response
}

/// A reply that no cache would have kept, such as one to a `POST`, must not be kept because it is asked for with `GET`.
fn keep_private(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CACHE_CONTROL) && !headers.contains_key(header::EXPIRES) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

/// Answers conditional and range requests (RFC 9110, sections 13 and 14), which are about replies of status 200.
fn select(asked: &Asked, snapshot: &Snapshot, end: &Arc<End>, response: &mut Response<MonitorBody>) {
    let request::Parts { method, headers: asked, .. } = &asked.parts;
    let headers = response.headers_mut();
    let entity_tag = headers.entry(header::ETAG).or_insert_with(|| entity_tag(snapshot.id)).clone();
    match conditional::evaluate(asked, &entity_tag, headers.get(header::LAST_MODIFIED)) {
        Outcome::Proceed => (),
        Outcome::NotModified => return not_modified(response),
        Outcome::Failed => return *response = problem(Problem::new(Kind::PreconditionFailed)),
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Only `GET` knows ranges (section 14.2).
    let may_be_part = method == Method::GET && conditional::range_applies(asked, &entity_tag);
    let range = asked.get(header::RANGE).filter(|_| may_be_part);
    let length = end.reply.body().len() as u64;
    match range::requested(range, length) {
        Requested::Whole => *response.body_mut() = whole(end, headers),
        Requested::Part(part) => {
            headers.insert(header::CONTENT_RANGE, range::content_range(&part, length));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            *response.body_mut() =
                MonitorBody::document(shared_body(Arc::clone(end)).slice(part.start as usize..part.end as usize));
        }
        Requested::Unsatisfiable => {
            *response = problem(Problem::new(Kind::RangeNotSatisfiable));
            let range = range::content_range_unsatisfiable(length);
            response.headers_mut().insert(header::CONTENT_RANGE, range);
        }
    }
}

/// Leaves what guides a cache, and nothing that is said of the body (section 15.4.5).
fn not_modified(response: &mut Response<MonitorBody>) {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::LAST_MODIFIED] {
        response.headers_mut().remove(name);
    }
}

/// An ended operation's reply never changes, so its id says enough.
fn entity_tag(id: OperationId) -> HeaderValue {
    let tag = format!("\"{}\"", id.encode(&mut [0; id::TEXT_LENGTH]));
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

fn whole(end: &Arc<End>, headers: &mut HeaderMap) -> MonitorBody {
    let trailers = end.reply.trailers();
    if let Some(names) = trailers.as_ref().and_then(announcement) {
        headers.insert(header::TRAILER, names);
    }
    MonitorBody::reply(shared_body(Arc::clone(end)), trailers)
}

/// HTTP/1 sends only trailers that were announced.
fn announcement(trailers: &HeaderMap) -> Option<HeaderValue> {
    let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
    HeaderValue::try_from(names.join(", ")).ok()
}
