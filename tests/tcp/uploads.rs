//! R3: a request is not detached before its body has ended, however slowly it comes and whoever reads it.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tower_respond_async::Policy;

use crate::{
    client::{Exchange, Framing, Received, post, result_of},
    server::{ALL, Front, HTTP2, Server, impatient},
    stage::Stage,
};

const MEBIBYTE: usize = 1024 * 1024;

/// Bytes that tell where they belong.
fn bytes(length: usize) -> Bytes {
    (0..length).map(|position| (position / 251 + position) as u8).collect()
}

fn trailers() -> HeaderMap {
    [("x-checksum".parse().unwrap(), "1234".parse().unwrap())].into_iter().collect()
}

/// Says how a body ended: with trailers, without, or not.
fn echo(collected: Result<http_body_util::Collected<Bytes>, axum::Error>) -> Response<Body> {
    match collected {
        Err(error) => Response::builder().status(400).body(error.to_string().into()).unwrap(),
        Ok(collected) => {
            let checksum = collected.trailers().and_then(|trailers| trailers.get("x-checksum")).cloned();
            let mut response = Response::new(Body::from(collected.to_bytes()));
            if let Some(checksum) = checksum {
                response.headers_mut().insert("x-checksum", checksum);
            }
            response
        }
    }
}

/// Reads the whole body at once, and replies when told to.
async fn read_then_wait(stage: Stage, mut request: Request<Body>) -> Response<Body> {
    let _presence = stage.enter();
    let mut body = Vec::new();
    let mut checksum = None;
    while let Some(frame) = request.body_mut().frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => {
                body.extend_from_slice(&data);
                stage.has_read();
            }
            Err(frame) => checksum = frame.into_trailers().unwrap().remove("x-checksum"),
        }
    }
    stage.wait().await;
    let mut response = Response::new(Body::from(body));
    if let Some(checksum) = checksum {
        response.headers_mut().insert("x-checksum", checksum);
    }
    response
}

/// Waits to be told before it reads anything.
async fn wait_then_read(stage: Stage, request: Request<Body>) -> Response<Body> {
    let _presence = stage.enter();
    stage.wait().await;
    echo(request.into_body().collect().await)
}

fn assert_accepted(received: &Received) {
    assert_eq!(received.status, 202, "{}", received.text());
    assert_eq!(received.json()["status"], "running");
}

#[tokio::test]
async fn r3_an_upload_that_is_read_is_accepted_after_its_end() {
    for (front, framing) in ALL {
        for budget in [Policy::new().budget(std::time::Duration::ZERO), impatient()] {
            let stage = Stage::new();
            let handler = stage.clone();
            let server = Server::start(front, budget, move |request| read_then_wait(handler.clone(), request)).await;
            let whole = bytes(30_000);
            let mut upload =
                Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), whole.len()).await;
            stage.started().await;
            for part in [&whole[..1], &whole[1..10_000]] {
                upload.send(part).await;
                stage.read().await;
                upload.silent().await;
            }
            upload.send(&whole[10_000..]).await;
            if framing != Framing::Length {
                stage.read().await;
                upload.silent().await;
            }
            upload.end(None).await;
            let accepted = upload.response().await;
            assert_accepted(&accepted);
            stage.go();
            assert_eq!(
                result_of(server.address, framing, accepted.location()).await.body,
                whole,
                "{front:?} {framing:?}"
            );
        }
    }
}

#[tokio::test]
async fn r3_an_upload_that_nobody_reads_is_read_by_the_layer() {
    for (front, framing) in ALL {
        for with_trailers in [false, true] {
            let stage = Stage::new();
            let handler = stage.clone();
            let server =
                Server::start(front, impatient(), move |request| wait_then_read(handler.clone(), request)).await;
            let whole = bytes(300_000);
            let mut upload =
                Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), whole.len()).await;
            stage.started().await;
            for part in whole.chunks(100_000) {
                upload.silent().await;
                upload.send(part).await;
            }
            if framing != Framing::Length {
                upload.silent().await;
            }
            upload.end(with_trailers.then(trailers)).await;
            let accepted = upload.response().await;
            assert_accepted(&accepted);
            stage.go();
            let result = result_of(server.address, framing, accepted.location()).await;
            assert_eq!((result.status, result.body.len()), (http::StatusCode::OK, whole.len()));
            assert_eq!(result.body, whole, "{front:?} {framing:?}");
            let expected = if with_trailers && framing != Framing::Length { "1234" } else { "" };
            assert_eq!(result.header("x-checksum"), expected, "{front:?} {framing:?}");
        }
    }
}

/// hyper's HTTP/1 gives the end of a body of known length only to who asks again, and withholds it once the response
/// is out.
#[tokio::test]
async fn r3_a_body_read_in_part_is_read_to_its_end_after_the_request_is_detached() {
    for (front, framing) in ALL {
        let stage = Stage::new();
        let handler = stage.clone();
        let server = Server::start(front, impatient(), move |mut request: Request<Body>| {
            let stage = handler.clone();
            async move {
                let _presence = stage.enter();
                let first = request.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
                stage.has_read();
                stage.wait().await;
                let rest = request.into_body().collect().await.unwrap().to_bytes();
                Response::new(Body::from([first, rest].concat()))
            }
        })
        .await;
        for length in [1, 1_000, 200_000] {
            let whole = bytes(length);
            let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), length).await;
            upload.send(&whole).await;
            upload.end(None).await;
            stage.read().await;
            let accepted = upload.response().await;
            assert_accepted(&accepted);
            stage.go();
            assert_eq!(
                result_of(server.address, framing, accepted.location()).await.body,
                whole,
                "{front:?} {framing:?}"
            );
        }
    }
}

#[tokio::test]
async fn r3_an_upload_larger_than_may_be_kept_stays_in_line_and_is_whole() {
    for (front, framing) in ALL {
        let stage = Stage::new();
        let handler = stage.clone();
        let policy = impatient().max_request_body(100_000);
        let server = Server::start(front, policy, move |request| wait_then_read(handler.clone(), request)).await;
        let whole = bytes(3 * MEBIBYTE);
        let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), whole.len()).await;
        stage.started().await;
        let (first, rest) = whole.split_at(150_000);
        for part in first.chunks(10_000) {
            upload.send(part).await;
        }
        upload.silent().await;
        stage.go();
        upload.send(rest).await;
        upload.end(None).await;
        let received = upload.response().await;
        assert_eq!(received.status, 200, "{front:?} {framing:?}");
        assert!(received.body == whole, "{front:?} {framing:?}");
        assert_eq!(received.header("vary"), "prefer");
        assert_eq!(server.operations.in_flight(), 0);
    }
}

/// What had to stay in line because of its size is detached after all once the handler has read it.
#[tokio::test]
async fn r3_a_large_upload_is_accepted_when_the_handler_has_read_it() {
    for (front, framing) in ALL {
        let stage = Stage::new();
        let handler = stage.clone();
        let policy = impatient().max_request_body(100_000);
        let server = Server::start(front, policy, move |request: Request<Body>| {
            let stage = handler.clone();
            async move {
                let _presence = stage.enter();
                stage.wait().await;
                let response = echo(request.into_body().collect().await);
                stage.wait().await;
                response
            }
        })
        .await;
        let whole = bytes(MEBIBYTE);
        let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), whole.len()).await;
        stage.started().await;
        upload.send(&whole[..150_000]).await;
        upload.silent().await;
        stage.go();
        upload.send(&whole[150_000..]).await;
        upload.end(None).await;
        let accepted = upload.response().await;
        assert_accepted(&accepted);
        stage.go();
        assert!(result_of(server.address, framing, accepted.location()).await.body == whole, "{front:?} {framing:?}");
    }
}

/// The layer gives the client its window back as it reads, or the upload would stand still at its first mebibyte.
#[tokio::test]
async fn r3_an_upload_larger_than_the_window_of_http2_is_read_by_the_layer() {
    for front in HTTP2 {
        let stage = Stage::new();
        let handler = stage.clone();
        let policy = impatient().max_request_body(8 * MEBIBYTE);
        let server = Server::start(front, policy, move |request| wait_then_read(handler.clone(), request)).await;
        let whole = bytes(5 * MEBIBYTE);
        let mut upload = Exchange::begin(server.address, Framing::Http2, post("/work").body(()).unwrap(), 0).await;
        upload.send(&whole).await;
        upload.end(None).await;
        let accepted = upload.response().await;
        assert_accepted(&accepted);
        stage.go();
        assert!(result_of(server.address, Framing::Http2, accepted.location()).await.body == whole, "{front:?}");
    }
}

#[tokio::test]
async fn r3_a_body_that_the_handler_has_dropped_is_not_waited_for() {
    for (front, framing) in ALL {
        let stage = Stage::new();
        let handler = stage.clone();
        let server = Server::start(front, impatient(), move |request: Request<Body>| {
            let stage = handler.clone();
            async move {
                let _presence = stage.enter();
                drop(request);
                stage.wait().await;
                Response::new(Body::from("done"))
            }
        })
        .await;
        let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 1_000).await;
        upload.send(&bytes(10)).await;
        let accepted = upload.response().await;
        assert_accepted(&accepted);
        stage.go();
        assert_eq!(result_of(server.address, framing, accepted.location()).await.text(), "done");
    }
}

/// Nothing comes after the head at all: the layer waits, and the handler may yet answer.
#[tokio::test]
async fn r3_an_upload_that_never_begins_stays_in_line() {
    for (front, framing) in ALL {
        let stage = Stage::new();
        let handler = stage.clone();
        let server = Server::start(front, impatient(), move |request: Request<Body>| {
            let stage = handler.clone();
            async move {
                let _presence = stage.enter();
                stage.wait().await;
                drop(request);
                Response::new(Body::from("without it"))
            }
        })
        .await;
        let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 1_000).await;
        stage.started().await;
        upload.silent().await;
        stage.go();
        let received = upload.response().await;
        assert_eq!((received.status.as_u16(), received.text()), (200, "without it"));
        assert_eq!(server.operations.in_flight(), 0);
    }
}

#[tokio::test]
async fn r3_a_request_without_a_body_is_accepted() {
    for (front, framing) in ALL {
        let stage = Stage::new();
        let handler = stage.clone();
        let server = Server::start(front, impatient(), move |request| wait_then_read(handler.clone(), request)).await;
        let accepted = crate::client::fetch(server.address, framing, post("/work").body(()).unwrap()).await;
        assert_accepted(&accepted);
        stage.go();
        let result = result_of(server.address, framing, accepted.location()).await;
        assert_eq!((result.status.as_u16(), result.text()), (200, ""));
        assert!(front != Front::Http2 || framing == Framing::Http2);
    }
}
