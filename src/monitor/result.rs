//! The reply of an operation.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use super::{Answer, Caller, MonitorBody, not_found, problem, status};
use crate::{
    http::{
        conditional::{self, Outcome},
        problem::{Kind, Problem},
        range::{self, Requested},
    },
    hub::absence,
    operation::{Given, OperationId, Reply, id},
    store::{Part, Snapshot},
};

/// So many fields, at most, are added to those of a reply.
const ADDED: usize = 4;

/// `GET {id}/result`
pub(super) fn result(caller: &Caller, parts: Parts, id: OperationId) -> Answer {
    Answer::of(caller.read(id, Part::Reply), move |read| {
        read.map_or_else(not_found, |snapshot| given(&parts, &snapshot))
    })
}

fn given(parts: &Parts, snapshot: &Snapshot) -> Response<MonitorBody> {
    match &snapshot.end {
        Some(end) => reply(parts, snapshot.id, end),
        None => {
            let mut response = problem(Problem::new(Kind::OperationPending));
            status::ask_again(&mut response, snapshot);
            response
        }
    }
}

/// The reply itself, or the problem document that says why there is none.
pub(super) fn reply<R>(parts: &Parts, id: OperationId, kept: &Arc<R>) -> Response<MonitorBody>
where
    R: AsRef<Reply> + Send + Sync + 'static,
{
    let given = Given::of(kept);
    let kept = (**kept).as_ref();
    if kept.is_empty()
        && let Some(kind) = absence(kept.ending())
    {
        return problem(Problem::new(kind));
    }
    let mut response = Response::new(MonitorBody::empty());
    *response.status_mut() = kept.status();
    *response.headers_mut() = given.headers(ADDED);
    let own = Own::of(response.headers());
    keep_private(&own, response.headers_mut());
    if kept.status() == StatusCode::OK {
        select(parts, id, own, &given, &mut response);
    } else {
        *response.body_mut() = whole(&given, response.headers_mut());
    }
    response
}

/// What the reply itself says that matters here, found in one pass.
#[derive(Debug, Default)]
struct Own {
    is_for_caches: bool,
    entity_tag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Own {
    fn of(headers: &HeaderMap) -> Self {
        let mut own = Self::default();
        for (name, value) in headers {
            if name == header::CACHE_CONTROL || name == header::EXPIRES {
                own.is_for_caches = true;
            } else if name == header::ETAG {
                own.entity_tag.get_or_insert_with(|| value.clone());
            } else if name == header::LAST_MODIFIED {
                own.last_modified.get_or_insert_with(|| value.clone());
            }
        }
        own
    }
}

/// A reply that no cache would have kept, such as one to a `POST`, must not be kept because it is asked for with `GET`.
fn keep_private(own: &Own, headers: &mut HeaderMap) {
    if !own.is_for_caches {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

/// Answers conditional and range requests (RFC 9110, sections 13 and 14), which are about replies of status 200.
fn select(parts: &Parts, id: OperationId, own: Own, given: &Given<'_>, response: &mut Response<MonitorBody>) {
    let headers = response.headers_mut();
    let entity_tag = own.entity_tag.unwrap_or_else(|| {
        let entity_tag = entity_tag(id);
        headers.insert(header::ETAG, entity_tag.clone());
        entity_tag
    });
    match conditional::evaluate(&parts.headers, &entity_tag, own.last_modified.as_ref()) {
        Outcome::Proceed => (),
        Outcome::NotModified => return not_modified(response),
        Outcome::Failed => return *response = problem(Problem::new(Kind::PreconditionFailed)),
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let length = given.body().len() as u64;
    match requested(parts, &entity_tag, length) {
        Requested::Whole => *response.body_mut() = whole(given, headers),
        Requested::Part(part) => {
            headers.insert(header::CONTENT_RANGE, range::content_range(&part, length));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let part = given.body().slice(part.start as usize..part.end as usize);
            *response.body_mut() = MonitorBody::document(part);
        }
        Requested::Unsatisfiable => {
            *response = problem(Problem::new(Kind::RangeNotSatisfiable));
            let range = range::content_range_unsatisfiable(length);
            response.headers_mut().insert(header::CONTENT_RANGE, range);
        }
    }
}

/// Only `GET` knows ranges (section 14.2).
fn requested(parts: &Parts, entity_tag: &HeaderValue, length: u64) -> Requested {
    match parts.headers.get(header::RANGE) {
        Some(range) if parts.method == Method::GET && conditional::range_applies(&parts.headers, entity_tag) => {
            range::requested(Some(range), length)
        }
        _ => Requested::Whole,
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
    let mut tag = Vec::with_capacity(id::TEXT_LENGTH + 2);
    tag.push(b'"');
    tag.extend_from_slice(id.encode(&mut [0; id::TEXT_LENGTH]).as_bytes());
    tag.push(b'"');
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

fn whole(given: &Given<'_>, headers: &mut HeaderMap) -> MonitorBody {
    let trailers = given.announced_trailers(headers);
    MonitorBody::reply(given.body(), trailers)
}
