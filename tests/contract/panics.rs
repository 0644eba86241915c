//! R5: a panic, in `call`, in the future, in the body, in a destructor, ends in `failed`, and harms no other
//! operation.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use tokio::time::sleep;
use tower::{BoxError, Layer, Service, service_fn};
use tower_respond_async::{OnDisconnect, Operations, Policy, problem::Kind};
use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::layer::{self, SubscriberExt};

use crate::support::{
    Incoming, Job, SECOND, ask, assert_at_rest, delete, detach, failure, operations, post, reply, result, send, settle,
    state, timed,
};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

/// A body that panics where it is told to.
enum Panicking {
    WhenPolled,
    WhenDropped { _bomb: Bomb, sent: bool },
}

impl Body for Panicking {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::WhenPolled => panic!("in a body"),
            Self::WhenDropped { sent, .. } => {
                let first = !std::mem::replace(sent, true);
                Poll::Ready(first.then(|| Ok(Frame::data(Bytes::from_static(b"whole")))))
            }
        }
    }
}

/// Has the operation end in `panicked`, and the one beside it in what its handler says.
async fn assert_panicked<F, B>(handler: impl Fn() -> F)
where
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Error = Infallible> + Send + 'static,
{
    let operations = operations();
    let unharmed = Job::begin(&operations, Policy::new()).await;
    let service = service_fn(|_: Incoming| {
        let handler = handler();
        async {
            sleep(SECOND).await;
            handler.await
        }
    });
    let location = detach(&operations, Policy::new(), service).await;
    result(&operations, &location).await.assert_problem(Kind::Panicked);
    assert_eq!(failure(&operations, &location).await, "panicked");
    assert_eq!(operations.in_flight(), 1);
    let unharmed = unharmed.reply(reply(200, "")).await;
    assert_eq!(state(&operations, &unharmed).await, "succeeded");
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r5_in_the_future() {
    assert_panicked(|| async { panic!("in a future") as Result<Response<String>, Infallible> }).await;
}

#[tokio::test(start_paused = true)]
async fn r5_in_the_destructor_of_the_future() {
    assert_panicked(|| async {
        let _bomb = Bomb;
        sleep(SECOND).await;
        Ok(Response::new("whole".to_owned()))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn r5_in_the_body() {
    assert_panicked(|| async { Ok(Response::new(Panicking::WhenPolled)) }).await;
}

#[tokio::test(start_paused = true)]
async fn r5_in_the_destructor_of_the_body() {
    assert_panicked(|| async { Ok(Response::new(Panicking::WhenDropped { _bomb: Bomb, sent: false })) }).await;
}

#[tokio::test(start_paused = true)]
async fn r5_with_a_payload_that_panics_itself() {
    assert_panicked(|| async { std::panic::panic_any(Bomb) as Result<Response<String>, Infallible> }).await;
}

#[tokio::test(start_paused = true)]
async fn r5_in_what_maps_a_service_error() {
    let operations = operations();
    let layer = operations.layer(Policy::new().budget(Duration::ZERO));
    let layer = layer.map_service_error(|_: BoxError| -> Response<Bytes> { panic!("in a mapping") });
    let service = service_fn(|_: Incoming| async {
        sleep(SECOND).await;
        Err::<Response<String>, BoxError>("broken".into())
    });
    let accepted = send(layer.layer(service), post(&[])).await;
    result(&operations, accepted.header("location")).await.assert_problem(Kind::Panicked);
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r5_in_a_destructor_when_it_is_canceled_or_takes_too_long() {
    let operations = operations();
    let service = || {
        service_fn(|_: Incoming| async {
            let _bomb = Bomb;
            std::future::pending::<Result<Response<String>, Infallible>>().await
        })
    };
    let canceled = detach(&operations, Policy::new(), service()).await;
    assert_eq!(delete(&operations, &canceled).await.status, 204);
    assert_eq!(state(&operations, &canceled).await, "canceled");
    let late = detach(&operations, Policy::new().max_run_time(SECOND), service()).await;
    result(&operations, &late).await.assert_problem(Kind::TimedOut);
    settle().await;
    assert_eq!(operations.in_flight(), 0);
}

/// Panics when it is told that an operation has finished.
struct Touchy;

impl<S: Subscriber> tracing_subscriber::Layer<S> for Touchy {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut finished = false;
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            finished |= field.name() == "message" && format!("{value:?}") == "operation finished";
        });
        assert!(!finished, "in a subscriber");
    }
}

#[tokio::test(start_paused = true)]
async fn r5_in_a_subscriber_that_is_told_of_the_end() {
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Touchy));
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(SECOND).await;
        Ok::<_, Infallible>(Response::new("done".to_owned()))
    });
    let location = detach(&operations, Policy::new(), service).await;
    let (waited, taken) = timed(ask(&operations, Method::GET, &location, &[("prefer", "wait=20")])).await;
    assert_eq!(waited.status, 303);
    assert!(taken < 2 * SECOND, "not told that it has ended, found out after {taken:?}");
    settle().await;
    assert_eq!(operations.in_flight(), 0);
}

/// That a panic in line reaches whoever polls, as it would without the layer, and leaves nothing behind.
async fn assert_propagates<S>(service: S)
where
    S: Service<Incoming, Response = Response<String>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    for on_disconnect in [OnDisconnect::Cancel, OnDisconnect::Detach] {
        let operations: Operations = operations();
        let policy = Policy::new().handle(true).on_disconnect(on_disconnect);
        let sent = tokio::spawn(send(operations.layer(policy).layer(service.clone()), post(&[])));
        assert!(sent.await.unwrap_err().is_panic(), "{on_disconnect:?}");
        assert_at_rest(&operations).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r5_in_line_in_call() {
    #[derive(Clone)]
    struct Refusing;
    impl Service<Incoming> for Refusing {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<String>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<tower_respond_async::RequestBody<String>>) -> Self::Future {
            panic!("in call")
        }
    }
    assert_propagates(Refusing).await;
}

#[tokio::test(start_paused = true)]
async fn r5_in_line_in_the_future() {
    assert_propagates(service_fn(|_: Incoming| async { panic!("at once") })).await;
    let later = service_fn(|_: Incoming| async {
        sleep(SECOND / 2).await;
        panic!("later")
    });
    assert_propagates(later).await;
}

#[tokio::test(start_paused = true)]
async fn r5_in_line_in_the_destructor_of_the_future() {
    struct Dropped(Bomb);
    impl Future for Dropped {
        type Output = Result<Response<String>, Infallible>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            let Self(_bomb) = &*self;
            Poll::Ready(Ok(Response::new(String::new())))
        }
    }
    assert_propagates(service_fn(|_: Incoming| Dropped(Bomb))).await;
}
