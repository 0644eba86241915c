//! Requests that say what no client should.

use axum::body::Body;
use http::{HeaderValue, Method, Response};
use tower_respond_async::Operations;

use crate::{
    client::{Http1, post, request},
    server::{Front, HTTP1, Server, impatient},
    stage::Stage,
};

/// Every handler waits to be told to go on.
async fn serve(front: Front) -> (Server, Stage) {
    let stage = Stage::new();
    let handler = stage.clone();
    let operations = Operations::builder().trust_forwarded(true);
    let server = Server::start_with(front, operations, impatient(), move |_| {
        let stage = handler.clone();
        async move {
            stage.wait().await;
            Response::new(Body::from("done"))
        }
    })
    .await;
    (server, stage)
}

fn nonsense() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "",
        ",",
        ",,,,",
        "=",
        ";",
        "\"",
        "\\",
        "\"\\",
        "wait",
        "wait=",
        "wait=-1",
        "wait=1e9",
        "wait=\"1",
        "wait=0x1",
        "wait=99999999999999999999999999",
        "wait=;",
        "respond-async;",
        "respond-async=\"",
        "respond-async wait=1",
        "*",
        "bytes=",
        "bytes=-",
        "bytes=9-1",
        "bytes=18446744073709551615-18446744073709551616",
        "bytes=-0",
        "bytes=a-b",
        "0",
        "-1",
        "18446744073709551615",
        "18446744073709551616",
        "W/",
        "W/\"",
        "\"\"",
        "text/event-stream;q=",
        "text/event-stream;q=2;",
        "for=\"[::1",
        "proto=gopher;host=\"@\"",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    all.push(b"\xff\xfe\x80".to_vec());
    all.push(b"wait=\xff".to_vec());
    all.push(b"bytes=0-0,".repeat(3_000));
    all.push(b"respond-async;x=\"".repeat(2_000));
    all.push(b"a".repeat(60_000));
    all.push(b"9".repeat(60_000));
    all
}

const HEADERS: [&str; 12] = [
    "prefer",
    "range",
    "if-range",
    "if-none-match",
    "last-event-id",
    "accept",
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "te",
    "x-user",
];

/// Whatever a header says, the answer is one that its absence could have had, and the connection lives.
#[tokio::test]
async fn nonsense_in_headers_does_no_harm() {
    for front in HTTP1 {
        let (server, stage) = serve(front).await;
        let mut connection = Http1::connect(server.address).await;
        connection.ask(&post("/work").body(()).unwrap()).await;
        let location = connection.response().await.location().to_owned();
        stage.go_all();
        connection.ask(&request(Method::GET, &location).header("prefer", "wait=60").body(()).unwrap()).await;
        assert_eq!(connection.response().await.status, 303);
        let paths =
            [location.clone(), format!("{location}/result"), format!("{location}/events"), "/operations".into()];
        for name in HEADERS {
            for value in nonsense() {
                let value = HeaderValue::from_bytes(&value).unwrap();
                for path in &paths {
                    connection.ask(&request(Method::GET, path).header(name, &value).body(()).unwrap()).await;
                    let status = connection.response().await.status.as_u16();
                    let expected: &[u16] = match path.rsplit('/').next().unwrap() {
                        "result" => &[200, 206, 304, 416],
                        "events" => &[200],
                        "operations" => &[404],
                        _ if name == "accept" => &[200, 303],
                        _ => &[303],
                    };
                    assert!(expected.contains(&status), "{status} to {path} with {name}: {value:?}");
                }
                connection.ask(&post("/work").header(name, &value).body(()).unwrap()).await;
                assert!(matches!(connection.response().await.status.as_u16(), 200 | 202), "{name}: {value:?}");
            }
        }
    }
}

/// Paths that mean no operation: 404, or 400 where hyper does not take them for paths.
#[tokio::test]
async fn nonsense_in_paths_is_not_found() {
    for front in HTTP1 {
        let (server, stage) = serve(front).await;
        stage.go_all();
        let mut connection = Http1::connect(server.address).await;
        connection.ask(&post("/work").header("prefer", "wait=0").body(()).unwrap()).await;
        drop(connection.response().await);
        let id = "0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";
        for path in [
            format!("/operations/%30{}", &id[1..]),
            format!("/operations/{}", id.replace('-', "%2D")),
            format!("/operations/{}", id.to_uppercase()),
            format!("/operations/{}", id.replace('-', "")),
            format!("/operations/{{{id}}}"),
            format!("/operations/urn:uuid:{id}"),
            format!("/operations/{id}%00"),
            format!("/operations/{id}%2fresult"),
            format!("/operations/{id}/../{id}"),
            format!("/operations/../operations/{id}"),
            format!("/operations/{id}/result/"),
            format!("/operations/{id}/result?{}", "a=b&".repeat(5_000)),
            format!("/operations//{id}"),
            format!("/operations/{}", "a/".repeat(20_000)),
            format!("/operations/{}", "%ff".repeat(1_000)),
            "/operations/%".to_owned(),
            "/operations/*".to_owned(),
            "/operations/~".to_owned(),
            format!("http://test/operations/{id}"),
        ] {
            for method in [Method::GET, Method::DELETE] {
                let mut connection = Http1::connect(server.address).await;
                connection.write(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
                let received = connection.response().await;
                let is_sub_resource = path.contains("/result");
                let expected: &[u16] = if is_sub_resource && method == Method::DELETE { &[404, 405] } else { &[404] };
                let status = received.status.as_u16();
                assert!(expected.contains(&status), "{front:?}: {status} to {method} {path:.80}");
            }
        }
    }
}
