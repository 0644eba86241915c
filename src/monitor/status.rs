//! How an operation is: polling, long polling and the status document.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use tokio::time::Instant;

use super::{Answer, Caller, MonitorBody, not_found, result, unavailable};
use crate::{
    http::{
        prefer::{self, PREFERENCE_APPLIED},
        retry_after,
    },
    hub::{Document, address_value},
    operation::{Given, OperationId, Reply},
    policy::Completion,
    store::{Part, Snapshot, StoreError},
};

/// `GET {id}`
pub(super) fn monitor(caller: Caller, parts: Parts, id: OperationId) -> Answer {
    match caller.hub.reads_all() {
        true => Answer::of(caller.read(id, Part::Status), move |read| {
            read.map_or_else(not_found, |snapshot| answer(&caller, &parts, &snapshot))
        }),
        false => Answer::waiting(async move {
            match read(&caller, id).await {
                Ok(read) => read.map_or_else(not_found, |snapshot| answer(&caller, &parts, &snapshot)),
                Err(error) => unavailable(&error),
            }
        }),
    }
}

/// Reads what is needed to answer: the reply, too, where it tells how.
async fn read(caller: &Caller, id: OperationId) -> Result<Option<Snapshot>, StoreError> {
    let read = caller.read(id, Part::Status).await?;
    match &read {
        Some(snapshot) if snapshot.end.is_some() && !caller.hub.reads_all() && wants_reply(snapshot) => {
            caller.read(id, Part::Reply).await
        }
        _ => Ok(read),
    }
}

fn wants_reply(Snapshot { terms, .. }: &Snapshot) -> bool {
    terms.policy.follow_created || terms.policy.completion == Completion::Replay
}

/// `GET {id}` with `Prefer: wait=N`: the same, as soon as the operation has ended or the wait is over.
pub(super) async fn wait(caller: Caller, parts: Parts, id: OperationId, wait: Duration) -> Response<MonitorBody> {
    awaited(&caller, &parts, id, wait).await.unwrap_or_else(|error| unavailable(&error))
}

async fn awaited(
    caller: &Caller,
    parts: &Parts,
    id: OperationId,
    wait: Duration,
) -> Result<Response<MonitorBody>, StoreError> {
    let begun = Instant::now();
    let mut watch = caller.hub.watchers.watch_for_reply(id);
    let Some(mut snapshot) = read(caller, id).await? else { return Ok(not_found()) };
    let policy = &snapshot.terms.policy;
    if !policy.honor_wait {
        return Ok(answer(caller, parts, &snapshot));
    }
    let wait = wait.min(policy.longest_wait);
    // Written before the wait, as nobody waits for that.
    let applied = prefer::applied(false, Some(wait));
    // It is read again once it has changed, which most often means that it has ended.
    let part = if wants_reply(&snapshot) { Part::Reply } else { Part::Status };
    let (mut more, mut reply) = (true, None);
    while more && snapshot.end.is_none() && reply.is_none() && begun.elapsed() < wait {
        more = caller.hub.changed(&mut watch, begun + wait).await;
        reply = watch.reply();
        if reply.is_none() {
            match caller.read(id, part).await {
                Ok(Some(latest)) => snapshot = latest,
                Ok(None) => return Ok(not_found()),
                // It may be back before the wait is over.
                Err(StoreError::Unavailable(_)) if more && begun.elapsed() < wait => {}
                Err(error) => return Err(error),
            }
        }
    }
    let mut response = match &reply {
        Some(reply) => completed(caller, parts, &snapshot, reply),
        None => answer(caller, parts, &snapshot),
    };
    if let Some(applied) = applied {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// `GET {id}/status`
pub(super) fn document(caller: Caller, id: OperationId) -> Answer {
    Answer::of(caller.read(id, Part::Status), move |read| {
        read.map_or_else(not_found, |snapshot| documented(&caller, &snapshot))
    })
}

fn documented(caller: &Caller, snapshot: &Snapshot) -> Response<MonitorBody> {
    let mut response = described(Document::of(snapshot, caller.place(snapshot.id)).to_json());
    if snapshot.end.is_none() {
        ask_again(&mut response, snapshot);
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

fn completed<R>(caller: &Caller, parts: &Parts, snapshot: &Snapshot, kept: &Arc<R>) -> Response<MonitorBody>
where
    R: AsRef<Reply> + Send + Sync + 'static,
{
    let policy = &snapshot.terms.policy;
    let created = (policy.follow_created && (**kept).as_ref().status() == StatusCode::CREATED)
        .then(|| Given::of(kept).headers(0).remove(header::LOCATION))
        .flatten();
    let result = || caller.place(snapshot.id).result();
    match (created, policy.completion) {
        (Some(created), _) => redirect(StatusCode::SEE_OTHER, created),
        (None, Completion::SeeOther) => redirect(StatusCode::SEE_OTHER, result()),
        (None, Completion::Found) => redirect(StatusCode::FOUND, result()),
        (None, Completion::Replay) => result::reply(parts, snapshot.id, kept),
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
