//! Backends of other kinds.

use hyper::StatusCode;

use crate::{
    backend,
    client::{FOLLOW, body_of, get, location_of, post, send},
    process::Gateway,
};

#[tokio::test]
async fn a_backend_may_speak_http_1_0() {
    let address = backend::of_http_1_0().await;
    let gateway = Gateway::start(&address, "");
    let response = send(&gateway, get("/", &[])).await;
    assert_eq!(response.version(), hyper::Version::HTTP_11);
    assert_eq!(body_of(response).await, "old");
}

#[tokio::test]
async fn a_backend_may_be_written_in_python() {
    let python = backend::in_python();
    let gateway = Gateway::start(&python.address, "[defaults]\nbudget = '100ms'");
    let quick = send(&gateway, get("/quick", &[])).await;
    assert_eq!(body_of(quick).await, "GET /quick ");

    let accepted = send(&gateway, post("/slow?page=1", &[])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let ended = send(&gateway, get(&location_of(&accepted), &FOLLOW)).await;
    let result = send(&gateway, get(&location_of(&ended), &[])).await;
    assert_eq!(result.status(), StatusCode::OK);
    assert_eq!(body_of(result).await, "POST /slow?page=1 the order");
}
