//! R11: the span current at `call` is current in the task.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::Response;
use tokio::time::sleep;
use tower::{Layer as _, Service, ServiceExt, service_fn};
use tower_respond_async::Policy;
use tracing::{Event, Subscriber, info, info_span};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::support::{Incoming, SECOND, operations, post, result};

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

/// Logs in line, when detached, and from the body's destructor.
async fn scopes(subscriber_sees_the_crate: bool) -> Vec<Vec<&'static str>> {
    let scopes = Scopes::default();
    let filter =
        filter_fn(move |metadata| subscriber_sees_the_crate || !metadata.target().starts_with("tower_respond_async"));
    let subscriber = tracing_subscriber::registry().with(filter).with(scopes.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        info!(target: "handler", "in line");
        sleep(10 * SECOND).await;
        info!(target: "handler", "detached");
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut service = operations.layer(Policy::new()).layer(service);
    let span = info_span!(target: "application", "request");
    // Entered at the call and in line, as a tracing layer outside would have it.
    let mut response = Box::pin({
        let service = service.ready().await.unwrap();
        span.in_scope(|| service.call(post(&[])))
    });
    let accepted = std::future::poll_fn(|context| span.in_scope(|| response.as_mut().poll(context))).await.unwrap();
    drop(span);
    result(&operations, accepted.headers()["location"].to_str().unwrap()).await;
    std::mem::take(&mut *scopes.0.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn r11_the_handler_is_within_the_span_of_its_call_and_its_operation() {
    assert_eq!(scopes(true).await, [vec!["request"], vec!["request", "operation"]]);
}

#[tokio::test(start_paused = true)]
async fn r11_though_the_spans_of_this_crate_are_silenced() {
    assert_eq!(scopes(false).await, [vec!["request"], vec!["request"]]);
}
