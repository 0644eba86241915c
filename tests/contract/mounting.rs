//! The monitor works however it is mounted, and answers every request.

use std::time::Duration;

use axum::{Router, routing::post};
use http::{Method, StatusCode};
use tower::ServiceExt;
use tower_respond_async::{Operations, Policy, problem::Kind};

use crate::support::{Answer, Job, SECOND, ask, get, operations, request};

async fn made() -> (StatusCode, &'static str) {
    tokio::time::sleep(SECOND).await;
    (StatusCode::CREATED, "made")
}

fn jobs(operations: &Operations) -> Router {
    Router::new().route("/jobs", post(made)).layer(operations.layer(Policy::new().budget(Duration::ZERO)))
}

async fn send(app: &Router, method: Method, path: &str) -> Answer {
    Answer::of(app.clone().oneshot(request(method, path, &[])).await.unwrap()).await
}

/// From the submission to the result, only by what the answers say.
async fn assert_works(app: Router) {
    let accepted = send(&app, Method::POST, "/jobs").await;
    assert_eq!(accepted.status, 202);
    let location = accepted.header("location");
    assert_eq!(send(&app, Method::GET, location).await.status, 202);
    let status = accepted.header("operation-location");
    assert_eq!(send(&app, Method::GET, status).await.json()["status"], "running");
    tokio::time::sleep(2 * SECOND).await;
    let ended = send(&app, Method::GET, location).await;
    let result = send(&app, Method::GET, ended.header("location")).await;
    assert_eq!((result.status.as_u16(), &*result.body), (201, &b"made"[..]));
    assert_eq!(send(&app, Method::DELETE, location).await.status, 204);
    assert_eq!(send(&app, Method::GET, location).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn nested_in_an_axum_router() {
    let operations = operations();
    assert_works(jobs(&operations).nest_service("/operations", operations.monitor())).await;
}

#[tokio::test(start_paused = true)]
async fn as_routes_of_an_axum_router() {
    let operations = operations();
    let app = jobs(&operations)
        .route_service("/operations", operations.monitor())
        .route_service("/operations/{*rest}", operations.monitor());
    assert_works(app).await;
}

#[tokio::test(start_paused = true)]
async fn as_the_fallback_of_an_axum_router() {
    let operations = operations();
    assert_works(jobs(&operations).fallback_service(operations.monitor())).await;
}

#[tokio::test(start_paused = true)]
async fn nested_twice_under_a_base_path_with_a_prefix() {
    let operations = Operations::builder().base_path("/v1/operations").build().unwrap();
    let v1 = Router::new().nest_service("/operations", operations.monitor());
    assert_works(jobs(&operations).nest("/v1", v1)).await;
}

#[tokio::test(start_paused = true)]
async fn inside_the_layer_too() {
    // A monitor's `DELETE` is quick, so the layer around it does no harm.
    let operations = operations();
    let app = Router::new()
        .route("/jobs", post(made))
        .nest_service("/operations", operations.monitor())
        .layer(operations.layer(Policy::new().budget(SECOND / 2)));
    assert_works(app).await;
}

#[tokio::test(start_paused = true)]
async fn bare_with_and_without_its_base_path() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let below = job.location.strip_prefix("/operations").unwrap();
    for path in [&*job.location, below, &below[1..]] {
        assert_eq!(get(&operations, &format!("/{}", path.trim_start_matches('/'))).await.status, 202, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn links_are_as_the_one_who_asks_can_follow_them() {
    let operations = Operations::builder().trust_forwarded(true).build().unwrap();
    let job = Job::begin(&operations, Policy::new()).await;
    let forwarded = [("forwarded", "proto=https;host=api.example.com")];
    let answer = ask(&operations, Method::GET, &job.location, &forwarded).await;
    assert_eq!(answer.header("location"), format!("https://api.example.com{}", job.location));
    assert_eq!(get(&operations, &job.location).await.header("location"), job.location);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_a_resource_does_not_know_is_405_with_allow() {
    let operations = operations();
    let running = Job::begin(&operations, Policy::new()).await.location;
    let unknown = "/operations/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";
    for operation in [&*running, unknown] {
        for (resource, methods, allow) in [
            ("", &["POST", "PUT", "PATCH", "OPTIONS", "PURGE"][..], "GET, HEAD, DELETE"),
            ("/status", &["POST", "DELETE"], "GET, HEAD"),
            ("/result", &["POST", "DELETE"], "GET, HEAD"),
            ("/events", &["POST", "DELETE"], "GET, HEAD"),
        ] {
            for method in methods {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let answer = ask(&operations, method, &format!("{operation}{resource}"), &[]).await;
                answer.assert_problem(Kind::MethodNotAllowed);
                assert_eq!(answer.header("allow"), allow);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn paths_that_are_none_of_its_own_are_404() {
    let operations = operations();
    let location = Job::begin(&operations, Policy::new()).await.location;
    for path in [
        format!("{location}/"),
        format!("{location}/other"),
        format!("{location}/result/"),
        location.to_uppercase(),
        "/operations/x".to_owned(),
        "/operations/../etc".to_owned(),
    ] {
        get(&operations, &path).await.assert_problem(Kind::NotFound);
    }
}
