//! What becomes an operation, and how it is followed to its end.

use std::time::Duration;

use hyper::{Method, StatusCode, header};
use tokio::time::timeout;

use crate::{
    backend::Backend,
    client::{FOLLOW, body_of, empty, get, location_of, post, request, send},
    process::Gateway,
};

#[tokio::test]
async fn a_slow_request_is_accepted_and_followed_to_its_reply() {
    let backend = Backend::start().await;
    let public_url = "https://api.example.com/v1";
    let configuration = "public_url = 'https://api.example.com/v1'\nbase_path = '/later'\n\
                         [[routes]]\npath = '/slow'\nbudget = '100ms'\n[[routes]]\npath = '/quick'\nbudget = '20s'";
    let gateway = Gateway::start(&backend.address, configuration);
    let accepted = send(&gateway, post("/slow", &[])).await;

    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let location = location_of(&accepted);
    let path = location.strip_prefix(public_url).expect("a full URL");
    assert!(path.starts_with("/later/"), "{location}");
    assert!(accepted.headers().contains_key(header::RETRY_AFTER));
    let running = send(&gateway, get(path, &[])).await;
    assert_eq!(running.status(), StatusCode::ACCEPTED);

    backend.release(1);
    let ended = send(&gateway, get(path, &FOLLOW)).await;
    assert_eq!(ended.status(), StatusCode::SEE_OTHER);
    let location = location_of(&ended);
    let result = send(&gateway, get(location.strip_prefix(public_url).expect("a full URL"), &[])).await;
    assert_eq!(result.status(), StatusCode::CREATED);
    assert_eq!(result.headers()["x-own"], "1");
    assert_eq!(body_of(result).await, "slow: the order");
}

#[tokio::test]
async fn a_client_can_prefer_not_to_wait() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = 'never'");
    let accepted = send(&gateway, post("/slow", &[("prefer", "respond-async")])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    assert_eq!(accepted.headers()["preference-applied"], "respond-async");
}

#[tokio::test]
async fn an_upgrade_that_is_not_passed_on_does_not_keep_a_request_in_line() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = '100ms'");
    let accepted = send(&gateway, post("/slow", &[("connection", "upgrade"), ("upgrade", "h2c")])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_is_not_listed_is_waited_for() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[[routes]]\npath = '/elsewhere'\nbudget = '1ms'");
    let slow = send(&gateway, post("/slow", &[("prefer", "respond-async")]));
    backend.release_after(Duration::from_millis(300));
    assert_eq!(slow.await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn completion_says_how_an_operation_that_has_ended_is_told() {
    let expected = [
        ("see-other", StatusCode::SEE_OTHER),
        ("found", StatusCode::FOUND),
        // The reply itself.
        ("replay", StatusCode::CREATED),
    ];
    let backend = Backend::start().await;
    for (completion, status) in expected {
        let configuration = format!("completion = '{completion}'\n[defaults]\nbudget = '100ms'");
        let gateway = Gateway::start(&backend.address, &configuration);
        let accepted = send(&gateway, post("/slow", &[])).await;
        backend.release(1);
        let ended = send(&gateway, get(&location_of(&accepted), &FOLLOW)).await;
        assert_eq!(ended.status(), status, "{completion}");
    }
}

#[tokio::test]
async fn to_cancel_an_operation_ends_its_request_to_the_backend() {
    let mut backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = '100ms'");
    let accepted = send(&gateway, post("/slow", &[])).await;
    let canceled = send(&gateway, request(Method::DELETE, &location_of(&accepted), &[], empty())).await;
    assert_eq!(canceled.status(), StatusCode::NO_CONTENT);
    timeout(Duration::from_secs(20), backend.dropped.recv()).await.unwrap().unwrap();
}
