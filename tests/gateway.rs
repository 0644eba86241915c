//! The `gateway` example, as a process of its own between a client and a backend, over TCP.

#[cfg(test)]
mod gateway {
    pub(crate) mod backend;
    pub(crate) mod client;
    pub(crate) mod process;
}

use std::time::Duration;

use gateway::{
    backend::{self, Backend},
    client::{body_of, chunks, empty, get, json_of, location_of, post, request, send, send_over_http_2},
    process::{Gateway, run},
};
use http_body_util::BodyExt;
use hyper::{Method, StatusCode, body::Bytes, header};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const FOLLOW: [(&str, &str); 1] = [("prefer", "wait=20")];

// In line.

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

// What the backend sees.

#[tokio::test]
async fn the_backend_is_told_who_asks_and_not_what_clients_make_up() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let made_up = [
        ("host", "api.example.com"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-prefix", "/x"),
        ("x-real-ip", "192.0.2.1"),
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

// Operations.

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

// A backend that fails.

#[tokio::test]
async fn without_a_backend_the_answer_is_502() {
    let address = backend::no_address().await;
    let gateway = Gateway::start(&address, "[defaults]\nbudget = '20s'");
    let response = send(&gateway, post("/quick", &[])).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let expected = json!({
        "type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": "the backend cannot be reached",
    });
    assert_eq!(json_of(response).await, expected);
}

#[tokio::test]
async fn a_backend_that_never_answers_is_given_up_in_line_and_detached() {
    let backend = Backend::start().await;
    let configuration = "upstream_timeout = '500ms'\n[[routes]]\npath = '/slow'\nbudget = '50ms'";
    let gateway = Gateway::start(&backend.address, configuration);
    let in_line = send(&gateway, get("/slow", &[])).await;
    assert_eq!(in_line.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(json_of(in_line).await["status"], 504);

    let accepted = send(&gateway, post("/slow", &[])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let failed = send(&gateway, get(&location_of(&accepted), &FOLLOW)).await;
    let result = send(&gateway, get(&location_of(&failed), &[])).await;
    assert_eq!(result.status(), StatusCode::GATEWAY_TIMEOUT);
    let status = json_of(send(&gateway, get(&format!("{}/status", location_of(&accepted)), &[])).await).await;
    assert_eq!(status["status"], "failed");
    assert_eq!(status["error"]["code"], "service-error");
}

/// Its queue of connections is full, so the next one is never made.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_backend_that_takes_no_connection_is_given_up() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
    }
    let gateway = Gateway::start(&address.to_string(), "connect_timeout = '300ms'");
    let response = send(&gateway, get("/quick", &[])).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(json_of(response).await["detail"], "the backend could not be reached in time");
}

#[tokio::test]
async fn a_reply_that_breaks_off_never_looks_whole() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "[defaults]\nbudget = '100ms'");

    let broken = send(&gateway, get("/dying", &[])).await;
    assert_eq!(broken.status(), StatusCode::OK);
    backend.release(1);
    assert!(broken.collect().await.is_err());

    let accepted = send(&gateway, post("/slow-and-dying", &[])).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    backend.release(2);
    let failed = send(&gateway, get(&location_of(&accepted), &FOLLOW)).await;
    let result = send(&gateway, get(&location_of(&failed), &[])).await;
    assert_eq!(result.status(), StatusCode::BAD_GATEWAY);
    assert!(json_of(result).await["type"].as_str().unwrap().ends_with("#service-error"));
}

// Backends of other kinds.

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

#[tokio::test]
async fn a_web_socket_is_carried_both_ways() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    let head = "GET /socket HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();

    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(stream.read_u8().await.unwrap());
    }
    let response = String::from_utf8(response).unwrap();
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(response.contains("upgrade: websocket\r\n"), "{response}");

    for message in [b"ping", b"pong"] {
        stream.write_all(message).await.unwrap();
        let mut echoed = [0; 4];
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, message);
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn tunnels_are_refused() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend.address, "");
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    stream.write_all(b"CONNECT example.com:80 HTTP/1.1\r\nhost: example.com:80\r\n\r\n").await.unwrap();
    let mut start = [0; 13];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 501 ");
}

// The process.

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

#[test]
fn the_example_is_right_and_so_is_all_that_it_leaves_out() {
    let file = include_str!("../examples/gateway.toml");
    let is_key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let uncommented = file.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line));
    let uncommented = uncommented.collect::<Vec<_>>().join("\n");
    assert!(uncommented.lines().filter(|line| is_key(line)).count() > 30, "{uncommented}");
    for text in [file, &uncommented] {
        Gateway::start_with(&text.replace("127.0.0.1:8000", "127.0.0.1:0"));
    }
}

#[test]
fn a_wrong_file_is_told_all_that_is_wrong() {
    let file = "upstream = 'https://127.0.0.1/x'\nupstraem = 'x'\nconnect_timeout = 5\nupstream_timeout = '0s'\n\
                base_path = 'operations'\n[defaults]\nbudget = 300\n[[routes]]\npath = '/a'\nbugdet = '1s'";
    let report = r#"file.toml is not right:
listen: missing; expected an address such as "127.0.0.1:8000"
upstream: expected a URL such as "http://127.0.0.1:8080", without a path, found "https://127.0.0.1/x"
connect_timeout: expected a duration longer than zero, such as "5s", found 5
upstream_timeout: expected a duration longer than zero, such as "5s", found "0s"
base_path: expected a path such as "/operations", found "operations"
defaults.budget: expected a duration such as "300ms" or "never", found the number 300
routes[0].bugdet: unknown key; did you mean "budget"?
upstraem: unknown key
"#;
    assert_eq!(run(Some(file)), (Some(2), report.to_owned()));
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let (code, report) = run(Some("listen = \nupstream = 'x'"));
    assert_eq!(code, Some(2));
    assert!(report.contains("line 1"), "{report}");
}

#[test]
fn without_a_file_it_says_how_it_is_used() {
    assert_eq!(run(None), (Some(2), "usage: gateway PATH.toml\n".to_owned()));
}
