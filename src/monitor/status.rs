//! How an operation is: polling, long polling and the status document.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::{Asked, MonitorBody, not_found, result};
use crate::{
    http::{
        prefer::{self, PREFERENCE_APPLIED},
        retry_after,
    },
    hub::{Address, Document},
    operation::OperationId,
    policy::Completion,
    store::{End, Snapshot},
};

/// `GET {id}`
pub(super) fn monitor(asked: &Asked, id: OperationId) -> Response<MonitorBody> {
    match asked.read(id) {
        None => not_found(),
        Some(snapshot) => answer(asked, &snapshot),
    }
}

/// `GET {id}` with `Prefer: wait=N`: the same, as soon as the operation has ended or the wait is over.
pub(super) async fn wait(asked: Asked, id: OperationId, wait: Duration) -> Response<MonitorBody> {
    let begun = Instant::now();
    let mut watch = asked.hub.watchers.watch(id);
    loop {
        let Some(snapshot) = asked.read(id) else { return not_found() };
        let policy = &snapshot.terms.policy;
        let wait = wait.min(policy.longest_wait);
        let honored = policy.honor_wait;
        let over = snapshot.end.is_some() || !honored || begun.elapsed() >= wait;
        if over || !matches!(timeout_at(begun + wait, watch.changed()).await, Ok(true)) {
            // What the wait has brought, if it was not only read.
            let Some(snapshot) = (if over { Some(snapshot) } else { asked.read(id) }) else { return not_found() };
            let mut response = answer(&asked, &snapshot);
            if honored && let Some(applied) = prefer::applied(false, Some(wait)) {
                response.headers_mut().insert(PREFERENCE_APPLIED, applied);
            }
            return response;
        }
    }
}

/// `GET {id}/status`
pub(super) fn document(asked: &Asked, id: OperationId) -> Response<MonitorBody> {
    let Some(snapshot) = asked.read(id) else { return not_found() };
    let mut response = described(&snapshot, &asked.address(id));
    if snapshot.end.is_none() {
        ask_again(&mut response, &snapshot);
    }
    response
}

fn answer(asked: &Asked, snapshot: &Snapshot) -> Response<MonitorBody> {
    match &snapshot.end {
        None => pending(asked, snapshot),
        Some(end) => completed(asked, snapshot, end),
    }
}

fn pending(asked: &Asked, snapshot: &Snapshot) -> Response<MonitorBody> {
    let address = asked.address(snapshot.id);
    let mut response = described(snapshot, &address);
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::LOCATION, address.monitor());
    ask_again(&mut response, snapshot);
    response
}

fn completed(asked: &Asked, snapshot: &Snapshot, end: &std::sync::Arc<End>) -> Response<MonitorBody> {
    let policy = &snapshot.terms.policy;
    let created = (policy.follow_created && end.reply.status() == StatusCode::CREATED)
        .then(|| end.reply.headers().remove(header::LOCATION))
        .flatten();
    let result = || asked.address(snapshot.id).result();
    match (created, policy.completion) {
        (Some(created), _) => redirect(StatusCode::SEE_OTHER, created),
        (None, Completion::SeeOther) => redirect(StatusCode::SEE_OTHER, result()),
        (None, Completion::Found) => redirect(StatusCode::FOUND, result()),
        (None, Completion::Replay) => result::reply(asked, snapshot, end),
    }
}

fn redirect(status: StatusCode, location: HeaderValue) -> Response<MonitorBody> {
    let mut response = Response::new(MonitorBody::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn described(snapshot: &Snapshot, address: &Address) -> Response<MonitorBody> {
    let document = Document::of(snapshot, address);
    let mut response = Response::new(MonitorBody::document(document.to_json()));
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
