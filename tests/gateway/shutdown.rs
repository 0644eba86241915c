//! How it stops.

use std::time::Duration;

use hyper::StatusCode;

use crate::{
    backend::Backend,
    client::{FOLLOW, get, location_of, post, send},
    process::Gateway,
};

#[tokio::test]
async fn asked_to_stop_it_lets_operations_end_and_clients_fetch_them() {
    let backend = Backend::start().await;
    let mut gateway = Gateway::start(&backend.address, "drain_timeout = '20s'\n[defaults]\nbudget = '100ms'");
    let accepted = send(&gateway, post("/slow", &[])).await;
    let path = location_of(&accepted);
    let follows = send(&gateway, get(&path, &FOLLOW));
    let (ended, ()) = tokio::join!(follows, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.terminate();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(send(&gateway, get(&path, &[])).await.status(), StatusCode::ACCEPTED);
        backend.release(1);
    });
    assert_eq!(ended.status(), StatusCode::SEE_OTHER);
    assert_eq!(gateway.exit_code().await, Some(0));
}

#[tokio::test]
async fn asked_to_stop_it_does_not_wait_for_ever() {
    let backend = Backend::start().await;
    let mut gateway = Gateway::start(&backend.address, "drain_timeout = '100ms'\n[defaults]\nbudget = '100ms'");
    let accepted = send(&gateway, post("/slow", &[])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    gateway.terminate();
    assert_eq!(gateway.exit_code().await, Some(0));
}
