//! What a person at a terminal gets.

use std::process::Stdio;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    client::within,
    server::{Front, Server, impatient},
    stage::Stage,
};

const PROTOCOLS: [&str; 3] = ["--http1.0", "--http1.1", "--http2-prior-knowledge"];

async fn serve() -> (Server, Stage) {
    let stage = Stage::new();
    let handler = stage.clone();
    let server = Server::start(Front::Axum, impatient().max_request_body(4 << 20), move |request: Request<Body>| {
        let stage = handler.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            stage.wait().await;
            Response::new(Body::from(format!("got {} bytes\n", body.len())))
        }
    })
    .await;
    (server, stage)
}

/// Runs curl, and gives what it printed.
async fn curl(arguments: &[&str], input: &[u8]) -> String {
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("curl, which tests/run installs");
    let mut stdin = curl.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let output = within(curl.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "curl {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for the end of an operation, and prints its reply.
async fn follow(protocol: &str, monitor: &str) -> String {
    let wait = ["--header", "prefer: wait=60", monitor];
    if protocol != "--http2-prior-knowledge" {
        return curl(&[&[protocol, "--location"], &wait[..]].concat(), b"").await;
    }
    // Some versions of curl cannot follow a redirect with HTTP/2 and prior knowledge, whoever sends it.
    let print = ["--write-out", "%{http_code} %{redirect_url}"];
    let printed = curl(&[&[protocol], &print[..], &wait[..]].concat(), b"").await;
    let result = printed.strip_prefix("303 ").expect("a redirect");
    curl(&[protocol, result], b"").await
}

#[tokio::test]
async fn curl_follows_the_monitor_to_the_result() {
    let (server, stage) = serve().await;
    let url = |path: &str| format!("http://{}{path}", server.address);
    for protocol in PROTOCOLS {
        let print = ["--output", "/dev/null", "--write-out", "%{http_code} %header{location}"];
        let small = [protocol, "--data-binary", "@-", &url("/work")];
        // Large enough for curl to ask with `Expect: 100-continue` first.
        let large = [protocol, "--header", "expect: 100-continue", "--data-binary", "@-", &url("/work")];
        let streamed = [protocol, "--request", "POST", "--upload-file", "-", &url("/work")];
        for (how, length) in [(&small[..], 10), (&large[..], 3 << 20), (&streamed[..], 100_000)] {
            if protocol == "--http1.0" && how.contains(&"--upload-file") {
                continue;
            }
            let printed = curl(&[how, &print[..]].concat(), &vec![b'x'; length]).await;
            let (status, location) = printed.split_once(' ').unwrap();
            assert_eq!(status, "202", "{how:?}");
            stage.go();
            assert_eq!(follow(protocol, &url(location)).await, format!("got {length} bytes\n"), "{how:?}");
            let events = [protocol, "--no-buffer", "--header", "accept: text/event-stream", &url(location)];
            assert!(curl(&events, b"").await.starts_with("event: succeeded\n"));
        }
    }
}

#[tokio::test]
async fn curl_resumes_a_download_and_asks_for_headers() {
    let (server, stage) = serve().await;
    for protocol in PROTOCOLS {
        let work = format!("http://{}/work", server.address);
        let detach = [protocol, "--data-binary", "@-", &work];
        let print = ["--output", "/dev/null", "--write-out", "%header{location}"];
        let location = curl(&[&detach[..], &print[..]].concat(), b"0123456789").await;
        stage.go();
        let monitor = format!("http://{}{location}", server.address);
        assert_eq!(follow(protocol, &monitor).await, "got 10 bytes\n");
        let result = format!("{monitor}/result");
        assert_eq!(curl(&[protocol, "--continue-at", "4", &result], b"").await, "10 bytes\n");
        let head = curl(&[protocol, "--head", &result], b"").await.to_lowercase();
        assert!(head.contains("content-length: 13\r\n"), "{head}");
    }
}
