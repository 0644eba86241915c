//! R7: limits are never exceeded. Reaching one keeps requests in line, or 503 with `Retry-After` where the policy says
//! so; a running operation is never evicted.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_respond_async::{AtLimit, Limit, Operations, Policy, problem::Kind};

use crate::support::{
    Answer, Incoming, Job, SECOND, ask, delete, detach, failure, get, millis, operations, owned, post, reply, result,
    send, settle, state,
};

/// Sends a request to a handler that takes ten seconds.
async fn submit(operations: &Operations, policy: Policy, headers: &[(&str, &str)]) -> Answer {
    let service = service_fn(|_: Incoming| async {
        sleep(10 * SECOND).await;
        Ok::<_, Infallible>(Response::new("done".to_owned()))
    });
    send(operations.layer(policy.budget(SECOND)).layer(service), post(headers)).await
}

/// At this limit a request stays in line, and then is detached again once there is room.
async fn assert_limited(operations: &Operations, limit: Limit, headers: &[(&str, &str)]) {
    let in_flight = operations.in_flight();
    let answer = submit(operations, Policy::new(), headers).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"done"[..]), "{limit:?}");
    assert_eq!(answer.names(), ["vary"]);
    let elsewhere = Policy::new().at_every_limit(AtLimit::Unavailable).at_limit(limit, AtLimit::StayInLine);
    assert_eq!(submit(operations, elsewhere, headers).await.status, 200);
    let unavailable = Policy::new().at_limit(limit, AtLimit::Unavailable);
    let answer = submit(operations, unavailable, headers).await;
    answer.assert_problem(Kind::Unavailable);
    answer.retry_after();
    assert_eq!(operations.in_flight(), in_flight);
}

#[tokio::test(start_paused = true)]
async fn r7_no_more_operations_run_than_may() {
    let operations = Operations::builder().max_operations(2).build().unwrap();
    let first = Job::begin(&operations, Policy::new()).await;
    let second = Job::begin(&operations, Policy::new()).await;
    assert_limited(&operations, Limit::Operations, &[]).await;
    first.reply(reply(200, "")).await;
    assert_eq!(submit(&operations, Policy::new(), &[]).await.status, 202);
    assert_eq!(delete(&operations, &second.location).await.status, 204);
    assert_eq!(submit(&operations, Policy::new(), &[]).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn r7_no_more_operations_of_one_owner_run_than_may() {
    let operations = owned().max_operations_per_owner(1).build().unwrap();
    let ann = [("x-user", "ann")];
    let job = Job::begin_with(&operations, Policy::new(), post(&ann)).await;
    assert_limited(&operations, Limit::OperationsPerOwner, &ann).await;
    assert_eq!(submit(&operations, Policy::new(), &[("x-user", "bob")]).await.status, 202);
    for _ in 0..3 {
        assert_eq!(submit(&operations, Policy::new(), &[]).await.status, 202, "nobody is no owner");
    }
    job.reply(reply(200, "")).await;
    assert_eq!(submit(&operations, Policy::new(), &ann).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn r7_no_more_operations_are_kept_than_may() {
    let operations = Operations::builder().max_kept_operations(2).build().unwrap();
    let policy = Policy::new().retention(100 * SECOND);
    let ended = Job::begin(&operations, policy.clone()).await.reply(reply(200, "")).await;
    let running = Job::begin(&operations, policy).await;
    assert_limited(&operations, Limit::KeptReplies, &[]).await;
    assert_eq!(state(&operations, &ended).await, "succeeded", "nothing makes way before its time");
    assert_eq!(state(&operations, &running.location).await, "running");
    sleep(100 * SECOND).await;
    assert_eq!(submit(&operations, Policy::new(), &[]).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn r7_no_more_bytes_are_kept_than_may() {
    let operations = Operations::builder().max_kept_bytes(800).build().unwrap();
    let big = "x".repeat(701).leak();
    let location = Job::begin(&operations, Policy::new()).await.reply(reply(200, big)).await;
    // An eighth of it, a hundred bytes, would have to be left.
    assert_limited(&operations, Limit::KeptReplies, &[]).await;
    let modest = Policy::new().max_reply(99);
    assert_eq!(submit(&operations, modest, &[]).await.status, 202, "this one needs less");
    assert_eq!(delete(&operations, &location).await.status, 204);
    assert_eq!(submit(&operations, Policy::new(), &[]).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn r7_a_reply_for_which_no_room_is_left_is_too_large() {
    let operations = Operations::builder().max_kept_bytes(800).build().unwrap();
    let half: &str = "x".repeat(401).leak();
    let [first, second] = [Job::begin(&operations, Policy::new()).await, Job::begin(&operations, Policy::new()).await];
    let first = first.reply(reply(200, half)).await;
    let second = second.reply(reply(200, half)).await;
    assert_eq!(result(&operations, &first).await.body, half);
    result(&operations, &second).await.assert_problem(Kind::ReplyTooLarge);
    assert_eq!(failure(&operations, &second).await, "reply-too-large");
    // What is forgotten makes room.
    let third = Job::begin(&operations, Policy::new()).await;
    assert_eq!(delete(&operations, &first).await.status, 204);
    let third = third.reply(reply(200, half)).await;
    assert_eq!(state(&operations, &third).await, "succeeded");
}

/// Says how long it is, and must not be read.
struct Announced(u64);

impl Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("read though it is too large")
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn r7_a_reply_that_announces_to_be_too_large_is_not_read() {
    for length in [101, u64::MAX] {
        let operations = operations();
        let service = service_fn(|_: Incoming| async move {
            sleep(SECOND).await;
            Ok::<_, Infallible>(Response::new(Announced(length)))
        });
        let location = detach(&operations, Policy::new().max_reply(100), service).await;
        result(&operations, &location).await.assert_problem(Kind::ReplyTooLarge);
    }
}

#[tokio::test(start_paused = true)]
async fn r7_a_reply_that_turns_out_to_be_too_large_is_not_read_on() {
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(SECOND).await;
        let endless = tokio_stream::iter(std::iter::repeat_with(|| {
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"0123456789")))
        }));
        Ok::<_, Infallible>(Response::new(StreamBody::new(endless)))
    });
    let location = detach(&operations, Policy::new().max_reply(100), service).await;
    result(&operations, &location).await.assert_problem(Kind::ReplyTooLarge);
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r7_the_headers_and_trailers_of_a_reply_count_too() {
    let long: &str = "x".repeat(60).leak();
    let [headers, trailers] = [true, false].map(|in_headers| {
        service_fn(move |_: Incoming| async move {
            sleep(SECOND).await;
            let fields = http::HeaderMap::from_iter([("x-long".parse().unwrap(), long.parse().unwrap())]);
            let (headers, trailers) = if in_headers { (fields, None) } else { (http::HeaderMap::new(), Some(fields)) };
            let frames =
                [Frame::data(Bytes::from_static(b"0123456789"))].into_iter().chain(trailers.map(Frame::trailers));
            let mut response =
                Response::new(StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Infallible>))).boxed_unsync());
            *response.headers_mut() = headers;
            Ok::<_, Infallible>(response)
        })
    });
    for service in [headers, trailers] {
        let operations = operations();
        let enough = detach(&operations, Policy::new().max_reply(100), service).await;
        assert_eq!(result(&operations, &enough).await.body, "0123456789");
        let too_little = detach(&operations, Policy::new().max_reply(60), service).await;
        result(&operations, &too_little).await.assert_problem(Kind::ReplyTooLarge);
    }
}

#[tokio::test(start_paused = true)]
async fn r7_a_reply_of_exactly_the_limit_is_kept() {
    for (limit, kept) in [(10, true), (9, false)] {
        let operations = operations();
        let job = Job::begin(&operations, Policy::new().max_reply(limit)).await;
        let location = job.reply(reply(200, "0123456789")).await;
        assert_eq!(state(&operations, &location).await, if kept { "succeeded" } else { "failed" }, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn r7_what_ends_or_is_forgotten_gives_back_all_it_took() {
    let operations = owned()
        .max_operations(1)
        .max_operations_per_owner(1)
        .max_kept_operations(1)
        .max_kept_bytes(800)
        .build()
        .unwrap();
    let ann = [("x-user", "ann")];
    for round in 0..20 {
        let policy = Policy::new().retention(SECOND).max_run_time(10 * SECOND);
        let Job { location, finish, .. } = Job::begin_with(&operations, policy, post(&ann)).await;
        match round % 4 {
            0 => assert!(finish.send(reply(200, "x".repeat(400).leak())).is_ok()),
            1 => assert!(finish.send(reply(200, "x".repeat(900).leak())).is_ok()),
            2 => assert_eq!(ask(&operations, http::Method::DELETE, &location, &ann).await.status, 204),
            _ => sleep(11 * SECOND).await,
        }
        settle().await;
        assert_eq!(operations.in_flight(), 0);
        if round % 5 == 0 {
            assert_eq!(ask(&operations, http::Method::DELETE, &location, &ann).await.status, 204);
        } else {
            sleep(SECOND + millis(600)).await;
        }
        get(&operations, &location).await.assert_problem(Kind::NotFound);
    }
}
