//! On a Tokio runtime without timers requests stay in line, and an error says why.
//!
//! In a process of its own, and in one test: the panic hook and the subscriber are the whole process's.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "so that a test says where it failed")]

use std::{
    convert::Infallible,
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use tokio::{runtime, sync::Notify, task::yield_now};
use tower::{Layer as _, ServiceExt, service_fn};
use tower_respond_async::{Operations, Policy, RequestBody};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

/// Counts the errors that are logged.
struct Errors(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The status that a request gets whose handler waits to be told to go on.
async fn status(operations: &Operations, prefer: &str, go: &Arc<Notify>) -> u16 {
    let service = service_fn(|_: Request<RequestBody<String>>| {
        let go = Arc::clone(go);
        async move {
            go.notified().await;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let policy = Policy::new().budget(Duration::from_nanos(1)).grace(Duration::ZERO);
    let request = Request::post("/jobs").header("prefer", prefer).body(String::new()).unwrap();
    operations.layer(policy).layer(service).oneshot(request).await.unwrap().status().as_u16()
}

/// The same where it is told to once there is nothing else left to do.
async fn status_at_last(operations: &Operations, prefer: &str) -> u16 {
    let go = Arc::new(Notify::new());
    tokio::join!(status(operations, prefer, &go), tell(&go)).0
}

async fn tell(go: &Notify) {
    for _ in 0..100 {
        yield_now().await;
    }
    go.notify_one();
}

#[test]
fn without_timers_requests_stay_in_line_and_an_error_says_why() {
    let panics = Arc::new(AtomicUsize::new(0));
    let errors = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&panics);
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        counted.fetch_add(1, Ordering::SeqCst);
        default(panic);
    }));
    let subscriber = tracing_subscriber::registry().with(Errors(Arc::clone(&errors)));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let with_timers = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let without = runtime::Builder::new_current_thread().build().unwrap();

    let operations = Operations::builder().build().unwrap();
    let go = Arc::new(Notify::new());
    assert_eq!(with_timers.block_on(status(&operations, "respond-async", &go)), 202);
    for _ in 0..2 {
        assert_eq!(without.block_on(status_at_last(&operations, "")), 200);
    }
    assert_eq!(errors.load(Ordering::SeqCst), 1);
    assert!(panics.load(Ordering::SeqCst) <= 1, "Tokio's own, when it is asked for a timer");

    // What runs where there are timers is none the worse for it.
    let drained = with_timers.block_on(async {
        let drained = operations.drain(Duration::from_secs(60));
        tokio::join!(drained, tell(&go)).0
    });
    assert_eq!((drained.finished, drained.interrupted, drained.blocked), (1, 0, 0));

    // Nothing is accepted that nobody could end.
    let operations = Operations::builder().build().unwrap();
    assert_eq!(without.block_on(status_at_last(&operations, "respond-async")), 200);
    let drained = without.block_on(operations.drain(Duration::from_secs(60)));
    assert_eq!((drained.finished, drained.interrupted, drained.blocked), (0, 0, 0));
}
