//! What is kept is given back as it was, byte by byte.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::{
    stage::{LONG, Stage, durable, full_reply, operation, owner, reply},
    violation::{Checked, Violation, equal, hold},
};
use crate::{
    operation::{Ending, Failure, Reply, State, StoredRequest},
    store::contract::Part,
};

/// As large as a reply may be by default.
const LARGE: usize = 8 * 1024 * 1024;

fn odd_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    headers.append("x-empty", HeaderValue::from_static(""));
    if let Ok(opaque) = HeaderValue::from_bytes(&(0x80..=0xff).collect::<Vec<u8>>()) {
        headers.append("x-opaque", opaque);
    }
    let mut sensitive = HeaderValue::from_static("hidden");
    sensitive.set_sensitive(true);
    headers.append("x-sensitive", sensitive);
    headers
}

fn every_byte() -> Vec<u8> {
    (0..=u8::MAX).chain([0, 0, 0]).collect()
}

/// Ends an operation with the reply and expects to read the same.
async fn expect_kept(stage: &Stage, make: impl Fn() -> Reply) -> Checked {
    let id = stage.ended(operation(), make()).await?;
    let end = stage.read(id).await?.end.ok_or_else(|| Violation::new("what has ended has no end"))?;
    let (kept, given) = (&end.reply, make());
    equal("the status", kept.status_or_none(), given.status_or_none())?;
    hold!(kept.size() == given.size(), "of {} bytes, {} were kept", given.size(), kept.size());
    hold!(*kept == given, "it is not the same, as in what is sensitive");
    Ok(())
}

pub(super) async fn replies_are_kept_byte_by_byte(stage: Stage) -> Checked {
    let headers = odd_headers();
    for body in [Vec::new(), every_byte(), b"\0".to_vec(), vec![0xff; LARGE]] {
        for trailers in [None, Some(&headers)] {
            expect_kept(&stage, || full_reply(StatusCode::OK, &headers, &body, trailers)).await?;
        }
    }
    expect_kept(&stage, || full_reply(StatusCode::NO_CONTENT, &HeaderMap::new(), b"", None)).await?;
    let last = StatusCode::from_u16(999).unwrap_or(StatusCode::OK);
    expect_kept(&stage, || full_reply(last, &HeaderMap::new(), b"", None)).await
}

pub(super) async fn failures_are_kept_with_and_without_a_reply(stage: Stage) -> Checked {
    let failures = [Failure::Panicked, Failure::ServiceError, Failure::TimedOut, Failure::ReplyTooLarge];
    for failure in failures.into_iter().chain([Failure::Interrupted, Failure::Lost]) {
        let attempt = stage.running(operation()).await?;
        let finished = stage.store.finish(attempt, Arc::new(Reply::none(Ending::Failed(failure)))).await?;
        equal("how it ended", (finished.state, finished.failure), (State::Failed, Some(failure)))?;
        let end = stage.read(attempt.operation).await?.end;
        let kept = end.map(|end| (end.reply.ending(), end.reply.status_or_none()));
        equal("its ending", kept, Some((Ending::Failed(failure), None)))?;
    }
    Ok(())
}

pub(super) async fn a_status_can_be_read_without_the_reply(stage: Stage) -> Checked {
    let replied = stage.ended(operation(), reply(StatusCode::CONFLICT, &every_byte())).await?;
    let failed = stage.ended(operation(), Reply::none(Ending::Failed(Failure::Panicked))).await?;
    for (id, ending, status) in
        [(replied, Ending::Replied, Some(StatusCode::CONFLICT)), (failed, Ending::Failed(Failure::Panicked), None)]
    {
        let whole = stage.read(id).await?;
        let found = stage.other.read(id, Some(&owner()), Part::Status).await?;
        let found = found.ok_or_else(|| Violation::new("its status is unknown"))?;
        equal("its life", found.life, whole.life)?;
        let end = found.end.ok_or_else(|| Violation::new("its status has no end"))?;
        equal("its ending", (end.reply.ending(), end.reply.status_or_none()), (ending, status))?;
        equal("when it ended", Some(end.at), whole.end.map(|end| end.at))?;
    }
    Ok(())
}

pub(super) async fn requests_are_kept_byte_by_byte(stage: Stage) -> Checked {
    let uri = Uri::from_static("/a%00%ff/'\"/;?q=*&[]=%");
    for body in [Vec::new(), every_byte(), vec![0xff; LARGE]] {
        let method = Method::from_bytes(b"X-ODD!").unwrap_or_default();
        let request = StoredRequest::new(method, uri.clone(), odd_headers(), Bytes::from(body));
        stage.create(durable().asking(request.clone())).await?;
        let claimed = stage.claim().await?;
        let kept = claimed.request;
        equal("the method and the target", (&kept.method, &kept.uri), (&request.method, &request.uri))?;
        equal("the headers", &kept.headers, &request.headers)?;
        let sensitive = kept.headers.get("x-sensitive").map(HeaderValue::is_sensitive);
        equal("whether the sensitive header is so", sensitive, Some(true))?;
        hold!(kept.body == request.body, "of {} bytes, {} were kept, or others", request.body.len(), kept.body.len());
        // A request lives through being given up.
        stage.store.hand_back(claimed.attempt).await?;
        let again = stage.claim().await?;
        hold!(again.request == request, "the second attempt has another request");
        stage.store.cancel(again.attempt.operation, Some(&owner())).await?;
    }
    Ok(())
}

pub(super) async fn terms_are_kept_whatever_the_route_is_called(stage: Stage) -> Checked {
    for route in
        ["", "default", "/r/{id}/{*rest}", "/\u{e9}/\u{1f600}", "/'; --\"\\%_", "/nul\0/\r\n", &"/long".repeat(999)]
    {
        let draft = operation().on(route).retention(Duration::from_millis(3_600_001)).max_run_time(LONG);
        let id = stage.running(draft.attempts(9, Duration::from_millis(77))).await?.operation;
        let terms = stage.read(id).await?.terms;
        equal("the route", terms.route(), route)?;
        equal("the retention", terms.retention(), Duration::from_millis(3_600_001))?;
        equal("the longest run time", terms.max_run_time(), Some(LONG))?;
        equal("the attempts", (terms.max_attempts(), terms.backoff(2)), (9, Duration::from_millis(154)))?;
    }
    let endless = stage.running(operation()).await?.operation;
    equal("no longest run time", stage.read(endless).await?.terms.max_run_time(), None)
}
