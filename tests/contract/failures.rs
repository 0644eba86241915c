//! R6, and other ways to end without the handler's reply: never in a truncated success.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use tokio::{task::yield_now, time::sleep};
use tower::{BoxError, Layer, Service, service_fn};
use tower_respond_async::{Policy, problem::Kind};

use crate::support::{Incoming, ReplyBody, SECOND, delete, detach, failure, operations, post, result, send, state};

/// A response whose body breaks off after so many pieces.
fn broken_off(after: usize) -> Response<ReplyBody> {
    let pieces = (0..after).map(|_| Ok(Frame::data(Bytes::from_static(b"piece"))));
    let frames = tokio_stream::iter(pieces.chain([Err(BoxError::from("secret"))]));
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

#[tokio::test(start_paused = true)]
async fn r6_a_response_body_that_breaks_off_ends_in_failed() {
    for after in [0, 1, 10] {
        let operations = operations();
        let service = service_fn(|_: Incoming| async move {
            sleep(SECOND).await;
            Ok::<_, Infallible>(broken_off(after))
        });
        let location = detach(&operations, Policy::new(), service).await;
        let result = result(&operations, &location).await;
        result.assert_problem(Kind::ServiceError);
        assert!(!String::from_utf8_lossy(&result.body).contains("secret"));
        assert_eq!(failure(&operations, &location).await, "service-error");
        assert_eq!(operations.in_flight(), 0);
    }
}

fn failing() -> impl Service<Incoming, Response = Response<String>, Error = BoxError, Future: Send> {
    service_fn(|_: Incoming| async {
        sleep(SECOND).await;
        Err::<Response<String>, BoxError>("secret".into())
    })
}

#[tokio::test(start_paused = true)]
async fn a_service_error_is_a_problem_that_gives_nothing_away() {
    let operations = operations();
    let location = detach(&operations, Policy::new(), failing()).await;
    let result = result(&operations, &location).await;
    result.assert_problem(Kind::ServiceError);
    assert!(!String::from_utf8_lossy(&result.body).contains("secret"));
    assert_eq!(failure(&operations, &location).await, "service-error");
}

#[tokio::test(start_paused = true)]
async fn a_service_error_is_what_the_application_makes_of_it_and_failed_all_the_same() {
    let operations = operations();
    let layer = operations.layer(Policy::new().budget(Duration::ZERO)).map_service_error(|error: BoxError| {
        let response = Response::builder().status(200).header("x-own", "1").header("connection", "close");
        response.body(Bytes::from(format!("it said: {error}"))).unwrap()
    });
    let accepted = send(layer.layer(failing()), post(&[])).await;
    let location = accepted.header("location");
    let result = result(&operations, location).await;
    assert_eq!((result.status.as_u16(), &*result.body), (200, &b"it said: secret"[..]));
    assert_eq!(result.header("x-own"), "1");
    assert!(!result.headers.contains_key("connection"));
    assert_eq!(failure(&operations, location).await, "service-error");
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_runs_too_long_is_dropped_and_timed_out() {
    let operations = operations();
    let alive = Arc::new(());
    let service = service_fn(|_: Incoming| {
        let held = Arc::clone(&alive);
        async move {
            sleep(100 * SECOND).await;
            drop(held);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let location = detach(&operations, Policy::new().max_run_time(10 * SECOND), service).await;
    sleep(10 * SECOND - Duration::from_millis(1)).await;
    assert_eq!(operations.in_flight(), 1, "not early");
    sleep(Duration::from_millis(600)).await;
    assert_eq!((operations.in_flight(), Arc::strong_count(&alive)), (0, 1));
    result(&operations, &location).await.assert_problem(Kind::TimedOut);
    assert_eq!(failure(&operations, &location).await, "timed-out");
}

#[tokio::test(start_paused = true)]
async fn without_a_longest_run_time_an_operation_may_run_for_ever() {
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(1_000_000 * SECOND).await;
        Ok::<_, Infallible>(Response::new("at last".to_owned()))
    });
    let location = detach(&operations, Policy::new().without_max_run_time(), service).await;
    // No further than needed: the sweeper wakes four times a second.
    sleep(10_000 * SECOND).await;
    assert_eq!(operations.in_flight(), 1);
    assert_eq!(state(&operations, &location).await, "running");
}

/// A body that says how long it is and ends, or never ends, with frames that are always ready.
struct Ready {
    frames: Box<dyn Iterator<Item = Bytes> + Send>,
    said: u64,
}

impl Body for Ready {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.frames.next().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::default();
        hint.set_lower(self.said);
        hint
    }
}

#[tokio::test(start_paused = true)]
async fn r5_a_body_that_promises_more_than_there_is_memory_for_takes_none_for_it() {
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(SECOND).await;
        let frames = Box::new(std::iter::once(Bytes::from_static(b"all")));
        Ok::<_, Infallible>(Response::new(Ready { frames, said: 1 << 50 }))
    });
    let location = detach(&operations, Policy::new().max_reply(usize::MAX), service).await;
    assert_eq!(result(&operations, &location).await.body, "all");
}

#[tokio::test(start_paused = true)]
async fn a_body_without_an_end_lets_others_have_their_turn_and_can_be_canceled() {
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        yield_now().await;
        let frames = Box::new(std::iter::repeat_with(Bytes::new));
        Ok::<_, Infallible>(Response::new(Ready { frames, said: 0 }))
    });
    let location = detach(&operations, Policy::new(), service).await;
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(state(&operations, &location).await, "running");
    assert_eq!(delete(&operations, &location).await.status, 204);
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_for_a_reply_may_be_a_status_alone() {
    let operations = operations();
    let layer = operations.layer(Policy::new().budget(Duration::ZERO)).map_service_error(|_: BoxError| {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
        response
    });
    let accepted = send(layer.layer(failing()), post(&[])).await;
    let result = result(&operations, accepted.header("location")).await;
    assert_eq!((result.status.as_u16(), result.body.len()), (418, 0));
}
