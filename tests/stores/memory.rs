//! The store in memory, as an application shares it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{
    Operations, Policy, RequestBody,
    store::{
        MemoryStore,
        conformance::{self, Replicas, Violations},
    },
};

#[tokio::test]
async fn keeps_the_contract_and_announces() -> Result<(), Violations> {
    conformance::run(async || {
        let store = Arc::new(MemoryStore::new());
        Replicas::new(Arc::clone(&store) as _, store).announcing()
    })
    .await
}

fn sharing(store: &Arc<MemoryStore>) -> Operations {
    Operations::builder().store(Arc::clone(store)).build().unwrap()
}

/// Asks the monitor.
async fn ask(operations: &Operations, method: &str, path: &str) -> (StatusCode, Bytes) {
    let request = Request::builder().method(method).uri(path).header("prefer", "wait=60");
    let response = operations.monitor().oneshot(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    (head.status, body.collect().await.unwrap().to_bytes())
}

/// Begins an operation that ends when it is told to, and returns its `Location`.
async fn begin(operations: &Operations, go_on: &Arc<Notify>) -> String {
    let go_on = Arc::clone(go_on);
    let slow = service_fn(move |_: Request<RequestBody<Empty<Bytes>>>| {
        let go_on = Arc::clone(&go_on);
        async move {
            go_on.notified().await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("rendered"))))
        }
    });
    let request = Request::post("/renders").header("prefer", "respond-async").body(Empty::new()).unwrap();
    let policy = Policy::new().grace(Duration::ZERO).longest_wait(Duration::from_secs(60));
    let answer = operations.layer(policy).layer(slow).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_one_has_begun_the_other_shows_to_its_end() {
    let (store, go_on) = (Arc::new(MemoryStore::new()), Arc::new(Notify::new()));
    let (one, other) = (sharing(&store), sharing(&store));
    let location = begin(&one, &go_on).await;
    assert_eq!(ask(&other, "GET", &format!("{location}/status")).await.0, StatusCode::OK);
    go_on.notify_one();
    assert_eq!(ask(&other, "GET", &location).await.0, StatusCode::SEE_OTHER);
    assert_eq!(ask(&other, "GET", &format!("{location}/result")).await, (StatusCode::OK, Bytes::from("rendered")));
    assert_eq!(ask(&other, "DELETE", &location).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask(&one, "GET", &location).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_one_has_begun_the_other_cancels() {
    let (store, go_on) = (Arc::new(MemoryStore::new()), Arc::new(Notify::new()));
    let (one, other) = (sharing(&store), sharing(&store));
    let location = begin(&one, &go_on).await;
    assert_eq!(ask(&other, "DELETE", &location).await.0, StatusCode::ACCEPTED);
    let (status, document) = ask(&one, "GET", &format!("{location}/status")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(String::from_utf8_lossy(&document).contains("\"canceled\""), "{document:?}");
}
