//! What is answered in line, as the backend answers it.

use http_body_util::BodyExt;
use hyper::{Method, StatusCode, body::Bytes, header};

use crate::{
    backend::Backend,
    client::{body_of, chunks, empty, get, json_of, post, request, send, send_over_http_2},
    process::Gateway,
};

#[tokio::test]
async fn a_quick_reply_passes_as_it_is() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = '20s'");
    let response = send(&gateway, post("/quick", &[])).await;

    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.headers()["x-own"], "1");
    let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(response.headers()[header::VARY], "prefer");
    assert!(!response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(body_of(response).await, "quick");
}

#[tokio::test]
async fn a_head_request_gets_the_length_and_no_body() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let response = send(&gateway, request(Method::HEAD, "/seen", &[], empty())).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_ne!(response.headers()[header::CONTENT_LENGTH], "0");
    assert_eq!(body_of(response).await, "");
}

#[tokio::test]
async fn bodies_are_not_held_back_in_either_direction() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = '20s'");
    let (mut sender, body) = chunks();
    let mut response = send(&gateway, request(Method::POST, "/echo", &[], body)).await;

    for chunk in ["first", "second", "third"] {
        sender.send_data(Bytes::from(chunk)).await.unwrap();
        let echoed = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(echoed, chunk);
    }
    drop(sender);
    assert!(response.frame().await.is_none());
}

#[tokio::test]
async fn a_large_body_goes_through_whole_both_ways() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 512;
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let (mut sender, body) = chunks();
    tokio::spawn(async move {
        for number in 0..CHUNKS {
            sender.send_data(vec![(number % 251) as u8; CHUNK].into()).await.unwrap();
        }
    });
    let mut response = send(&gateway, request(Method::POST, "/echo", &[], body)).await;

    let mut received = 0;
    while let Some(frame) = response.frame().await {
        for byte in frame.unwrap().into_data().unwrap() {
            assert_eq!(usize::from(byte), received / CHUNK % 251, "byte {received}");
            received += 1;
        }
    }
    assert_eq!(received, CHUNK * CHUNKS);
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let response = send_over_http_2(&gateway, get("/seen", &[])).await;
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    let seen = json_of(response).await;
    assert_eq!(seen["via"], "2 gateway");
    assert_eq!(seen["host"], gateway.address);
}
