//! What is logged of an operation.
//!
//! In a process of its own, and in one test: `tracing` remembers for the whole process who is interested in an event.

#![allow(clippy::panic, clippy::unwrap_used, reason = "so that a test says where it failed")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use tower::{Layer as _, ServiceExt, service_fn};
use tower_respond_async::{Operations, Policy, RequestBody};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

/// The fields of an event, the message among them.
type Fields = BTreeMap<&'static str, String>;

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Fields>>>);

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Written(Fields);
        impl Visit for Written {
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.insert(field.name(), value.to_owned());
            }
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0.insert(field.name(), format!("{value:?}"));
            }
        }
        if event.metadata().target().starts_with("tower_respond_async") {
            let mut written = Written(Fields::new());
            event.record(&mut written);
            self.0.lock().unwrap().push(written.0);
        }
    }
}

async fn handler(request: Request<RequestBody<String>>) -> Result<Response<String>, Infallible> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    match request.uri().path() {
        "/panicked" => panic!("as it is told to"),
        "/timed-out" => std::future::pending().await,
        "/reply-too-large" => Ok(Response::new("x".repeat(2_000))),
        "/unavailable" => Ok(Response::builder().status(503).body(String::new()).unwrap()),
        _ => Ok(Response::new(String::new())),
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_operation_is_logged_with_its_reason() {
    let events = Events::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(events.clone()));
    let operations = Operations::builder().build().unwrap();
    let policy = Policy::new().max_run_time(Duration::from_secs(10)).max_reply(1_000);
    let service = operations.layer(policy).layer(service_fn(handler));
    for (path, state, reason, status) in [
        ("/panicked", "failed", Some("panicked"), None),
        ("/timed-out", "failed", Some("timed-out"), None),
        ("/reply-too-large", "failed", Some("reply-too-large"), None),
        ("/unavailable", "failed", None, Some("503")),
        ("/done", "succeeded", None, Some("200")),
    ] {
        let request = Request::post(path).body(String::new()).unwrap();
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), 202);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let logged = std::mem::take(&mut *events.0.lock().unwrap());
        let finished = logged.iter().find(|event| event["message"] == "operation finished");
        let finished = finished.unwrap_or_else(|| panic!("{path}: {logged:?}"));
        let field = |name: &str| finished.get(name).map(String::as_str);
        assert_eq!((field("state"), field("reason"), field("status")), (Some(state), reason, status), "{path}");
    }
}
