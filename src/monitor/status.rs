//! How an operation is: polling, long polling and the status document.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use tokio::time::{Instant, timeout_at};

use super::{Caller, MonitorBody, not_found, result};
use crate::{
    http::{
        prefer::{self, PREFERENCE_APPLIED},
        retry_after,
    },
    hub::{Document, address_value},
    operation::{Given, OperationId},
    policy::Completion,
    store::{End, Snapshot},
};

/// `GET {id}`
pub(super) fn monitor(caller: &Caller, parts: &Parts, id: OperationId) -> Response<MonitorBody> {
    match caller.read(id) {
        None => not_found(),
        Some(snapshot) => answer(caller, parts, &snapshot),
    }
}

/// `GET {id}` with `Prefer: wait=N`: the same, as soon as the operation has ended or the wait is over.
pub(super) async fn wait(caller: Caller, parts: Parts, id: OperationId, wait: Duration) -> Response<MonitorBody> {
    let begun = Instant::now();
    let mut watch = caller.hub.watchers.watch(id);
    let Some(mut snapshot) = caller.read(id) else { return not_found() };
    let policy = &snapshot.terms.policy;
    if !policy.honor_wait {
        return answer(&caller, &parts, &snapshot);
    }
    let wait = wait.min(policy.longest_wait);
    // Written before the wait, as nobody waits for that.
    let applied = prefer::applied(false, Some(wait));
    let mut more = true;
    while more && snapshot.end.is_none() && begun.elapsed() < wait {
        more = matches!(timeout_at(begun + wait, watch.changed()).await, Ok(true));
        let Some(latest) = caller.read(id) else { return not_found() };
        snapshot = latest;
    }
    let mut response = answer(&caller, &parts, &snapshot);
    if let Some(applied) = applied {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    response
}

/// `GET {id}/status`
pub(super) fn document(caller: &Caller, id: OperationId) -> Response<MonitorBody> {
    let Some(snapshot) = caller.read(id) else { return not_found() };
    let mut response = described(Document::of(&snapshot, caller.place(id)).to_json());
    if snapshot.end.is_none() {
        ask_again(&mut response, &snapshot);
    }
    response
}

fn answer(caller: &Caller, parts: &Parts, snapshot: &Snapshot) -> Response<MonitorBody> {
    match &snapshot.end {
        None => pending(caller, snapshot),
        Some(end) => completed(caller, parts, snapshot, end),
    }
}

fn pending(caller: &Caller, snapshot: &Snapshot) -> Response<MonitorBody> {
    let place = caller.place(snapshot.id);
    let document = Document::of(snapshot, place);
    // The address and the document are written into one piece of memory.
    let mut written = Vec::with_capacity(place.length() + document.length());
    place.write(&mut written);
    document.write_to(&mut written);
    let mut address = Bytes::from(written);
    let document = address.split_off(place.length());
    let mut response = described(document);
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::LOCATION, address_value(address));
    ask_again(&mut response, snapshot);
    response
}

fn completed(caller: &Caller, parts: &Parts, snapshot: &Snapshot, end: &Arc<End>) -> Response<MonitorBody> {
    let policy = &snapshot.terms.policy;
    let created = (policy.follow_created && end.reply.status() == StatusCode::CREATED)
        .then(|| Given::of(end).headers(0).remove(header::LOCATION))
        .flatten();
    let result = || caller.place(snapshot.id).result();
    match (created, policy.completion) {
        (Some(created), _) => redirect(StatusCode::SEE_OTHER, created),
        (None, Completion::SeeOther) => redirect(StatusCode::SEE_OTHER, result()),
        (None, Completion::Found) => redirect(StatusCode::FOUND, result()),
        (None, Completion::Replay) => result::reply(parts, snapshot, end),
    }
}

fn redirect(status: StatusCode, location: HeaderValue) -> Response<MonitorBody> {
    let mut response = Response::new(MonitorBody::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response of a status document.
fn described(document: Bytes) -> Response<MonitorBody> {
    let mut response = Response::new(MonitorBody::document(document));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn ask_again(response: &mut Response<MonitorBody>, snapshot: &Snapshot) {
    let elapsed = snapshot.now.since(snapshot.created);
    let expected = snapshot.terms.history.expected_remaining(elapsed);
    // Another number at each poll, as clients that came together once should not for ever.
    let jitter = snapshot.id.noise().wrapping_add(elapsed.subsec_millis().wrapping_mul(0x9E37_79B9));
    let seconds = retry_after::seconds(expected, elapsed, jitter);
    response.headers_mut().insert(header::RETRY_AFTER, retry_after::value(seconds));
}
