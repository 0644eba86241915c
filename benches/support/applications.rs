//! The applications whose servers are compared.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderValue, Request, Response, header},
    response::IntoResponse,
    routing::{get, post},
};
use http_body_util::Full;
use tower::service_fn;
use tower_respond_async::{Monitor, Operations, Policy};

use super::handwritten::Jobs;

/// So short that what a flood of requests leaves behind stays little.
const BRIEFLY: Duration = Duration::from_secs(1);
const FOR_LONG: Duration = Duration::from_secs(60 * 60);
/// More than any run needs.
const NO_LIMIT: usize = 1 << 40;

/// What a handler of all applications replies.
const REPLY: &[u8] = br#"{"url":"https://renders.example.com/42.png","width":640,"height":480,"tiles":10}"#;
/// Of the length of a status document.
const DOCUMENT: &[u8] =
    br#"{"id":"0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa","status":"running","created":"2026-01-01T00:00:00.000Z"}"#;

/// Answers at once.
async fn quick(_request: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], REPLY)
}

/// Answers soon, but not at once.
async fn brief(request: Bytes) -> impl IntoResponse {
    tokio::time::sleep(Duration::from_millis(5)).await;
    quick(request).await
}

/// Never answers. What it holds meanwhile is not its request, whose bytes are a part of the connection's buffer.
async fn endless(request: Bytes) -> impl IntoResponse {
    drop(request);
    std::future::pending::<()>().await;
}

/// Handlers that answer at once, and nothing else.
pub(crate) fn plain() -> Router {
    Router::new()
        .route("/quick", post(quick))
        .route("/document", get(async || ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)))
        .route("/reply", get(async || ([(header::CONTENT_TYPE, "application/json")], REPLY)))
        .nest_service("/nested", service_fn(nested))
}

/// The same as a service that is nested as the monitor is, and like it has a body of its own.
async fn nested(request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
    let content = if request.uri().path() == "/reply" { REPLY } else { DOCUMENT };
    let mut response = Response::new(Full::from(content));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The handlers under the layer, with the monitor nested in the router; and the monitor alone.
pub(crate) fn ours() -> (Router, Monitor) {
    let operations = Operations::builder()
        .max_operations(NO_LIMIT)
        .max_kept_operations(NO_LIMIT)
        .max_kept_bytes(NO_LIMIT)
        .build()
        .unwrap();
    let policy = |retention| Policy::new().grace(Duration::ZERO).retention(retention);
    let kept = Router::new().route("/kept", post(brief)).layer(operations.layer(policy(FOR_LONG)));
    let app = Router::new()
        .route("/quick", post(quick))
        .route("/brief", post(brief))
        .route("/endless", post(endless))
        .layer(operations.layer(policy(BRIEFLY)))
        .merge(kept)
        .nest_service("/operations", operations.monitor());
    (app, operations.monitor())
}

/// The handlers in the version by hand.
pub(crate) fn by_hand() -> Router {
    let jobs = Jobs::default();
    jobs.keep_sweeping();
    let (briefly, kept, forever) = (jobs.clone(), jobs.clone(), jobs.clone());
    Router::new()
        .route("/brief", post(async move |request: Bytes| briefly.submit(BRIEFLY, brief(request))))
        .route("/kept", post(async move |request: Bytes| kept.submit(FOR_LONG, brief(request))))
        .route("/endless", post(async move |request: Bytes| forever.submit(BRIEFLY, endless(request))))
        .merge(jobs.routes())
}
