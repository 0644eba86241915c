//! What the backend is told, and what clients cannot make it believe.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    backend::Backend,
    client::{get, json_of, location_of, post, send},
    process::Gateway,
};

#[tokio::test]
async fn the_backend_is_told_who_asks_and_not_what_clients_make_up() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let made_up = [
        ("host", "api.example.com"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-prefix", "/x"),
        ("x-real-ip", "192.0.2.1"),
        ("x_forwarded_for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("prefer", "respond-async, return=minimal"),
        ("accept", "text/csv"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic eDp5"),
    ];
    let response = send(&gateway, get("/seen", &made_up)).await;
    assert!(!response.headers().contains_key("x-backend-hop"), "{:?}", response.headers());
    let expected = json!({
        "host": "api.example.com",
        "prefer": "respond-async, return=minimal",
        "accept": "text/csv",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "api.example.com",
        "forwarded": "for=127.0.0.1;proto=http;host=\"api.example.com\"",
        "via": "1.1 gateway",
    });
    assert_eq!(json_of(response).await, expected);
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_continued() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "trust_forwarded = true");

    let said = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "example.com")];
    let seen = json_of(send(&gateway, get("/seen", &said)).await).await;
    assert_eq!(seen["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
    assert_eq!(seen["x-forwarded-proto"], "https");
    assert_eq!(seen["x-forwarded-host"], "example.com");
    assert!(seen.get("forwarded").is_none(), "{seen}");

    let said = [("forwarded", "for=192.0.2.1;proto=https"), ("host", "example.com")];
    let seen = json_of(send(&gateway, get("/seen", &said)).await).await;
    let expected = "for=192.0.2.1;proto=https, for=127.0.0.1;proto=http;host=\"example.com\"";
    assert_eq!(seen["forwarded"], expected);
    assert!(seen.get("x-forwarded-for").is_none(), "{seen}");
}

/// A proxy that sets only one of them has to remove the other: what is there may be a client's.
#[tokio::test]
async fn where_a_trusted_proxy_says_it_in_both_ways_both_are_continued_and_forwarded_counts() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "trust_forwarded = true\n[defaults]\nbudget = '100ms'");
    let said = [
        ("host", "own.example"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "x.example"),
        ("forwarded", "for=192.0.2.1;proto=https;host=f.example"),
    ];
    let seen = json_of(send(&gateway, get("/seen", &said)).await).await;
    let expected = json!({
        "host": "own.example",
        "x-forwarded-for": "192.0.2.1, 127.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "x.example",
        "forwarded": "for=192.0.2.1;proto=https;host=f.example, for=127.0.0.1;proto=http;host=\"own.example\"",
        "via": "1.1 gateway",
    });
    assert_eq!(seen, expected);

    let accepted = send(&gateway, post("/slow", &said)).await;
    assert!(location_of(&accepted).starts_with("https://f.example/operations/"), "{accepted:?}");
}

#[tokio::test]
async fn where_no_proxy_is_trusted_nobody_is_believed() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = '100ms'");
    let said = [
        ("forwarded", "for=192.0.2.1;proto=https;host=f.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "x.example"),
    ];
    let accepted = send(&gateway, post("/slow", &said)).await;
    assert!(location_of(&accepted).starts_with("/operations/"), "{accepted:?}");
}

#[tokio::test]
async fn a_request_for_no_host_or_two_is_refused() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    for hosts in ["", "host: a\r\nhost: b\r\n", "host: a@b\r\n", "host: a b\r\n"] {
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        let head = format!("GET /seen HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 400 "), "{hosts:?}: {response}");
    }
}
