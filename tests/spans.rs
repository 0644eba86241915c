//! R11: the span current at `call` is current in the task.
//!
//! In a process of its own, and in one test: `tracing` remembers for the whole process who is interested in a span.

#![allow(clippy::unwrap_used, reason = "so that a test says where it failed")]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use tower::{Layer as _, Service, ServiceExt, service_fn};
use tower_respond_async::{Operations, Policy, RequestBody};
use tracing::{Event, Subscriber, info, info_span};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// The names of the spans, from the root, that each event of the handler's is within.
#[derive(Clone, Default)]
struct Scopes(Arc<Mutex<Vec<Vec<&'static str>>>>);

impl<S: Subscriber + for<'lookup> LookupSpan<'lookup>> Layer<S> for Scopes {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "handler" {
            let scope = context.event_scope(event).into_iter().flat_map(|scope| scope.from_root());
            self.0.lock().unwrap().push(scope.map(|span| span.name()).collect());
        }
    }
}

/// Logs in line, detached, and when it is gone.
async fn handler(_: Request<RequestBody<String>>) -> Result<Response<String>, Infallible> {
    struct Gone;
    impl Drop for Gone {
        fn drop(&mut self) {
            info!(target: "handler", "gone");
        }
    }
    let _gone = Gone;
    info!(target: "handler", "in line");
    tokio::time::sleep(Duration::from_secs(10)).await;
    info!(target: "handler", "detached");
    Ok(Response::new(String::new()))
}

/// What the handler's events are within, for one who sees the spans of this crate or does not.
async fn scopes(sees_the_crate: bool) -> Vec<Vec<&'static str>> {
    let scopes = Scopes::default();
    let filter = filter_fn(move |metadata| sees_the_crate || !metadata.target().starts_with("tower_respond_async"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(filter).with(scopes.clone()));
    let operations = Operations::builder().build().unwrap();
    let mut service = operations.layer(Policy::new()).layer(service_fn(handler));
    // Entered at the call and in line, as a tracing layer outside would have it.
    let span = info_span!(target: "application", "request");
    let service = service.ready().await.unwrap();
    let mut response = Box::pin(span.in_scope(|| service.call(Request::post("/jobs").body(String::new()).unwrap())));
    let accepted = std::future::poll_fn(|context| span.in_scope(|| response.as_mut().poll(context))).await.unwrap();
    assert_eq!(accepted.status(), 202);
    drop((response, span));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(operations.in_flight(), 0);
    std::mem::take(&mut *scopes.0.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn r11_the_handler_stays_within_the_span_of_its_call() {
    let (in_line, detached) = (vec!["request"], vec!["request", "operation"]);
    assert_eq!(scopes(true).await, [in_line.clone(), detached.clone(), detached]);
    assert_eq!(scopes(false).await, [in_line.clone(), in_line.clone(), in_line], "its own spans are silenced");
}
