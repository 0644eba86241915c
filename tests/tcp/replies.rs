//! Kept replies over the wire: whole, in part, described only, not at all.

use axum::body::{Body, Bytes};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_respond_async::{AtLimit, Completion, Operations, Owner};

use crate::{
    client::{Framing, Received, fetch, get, post, request, result_of},
    server::{ALL, Front, Server, impatient},
    stage::Stage,
};

/// Waits until its client has been sent away, then answers.
pub(crate) async fn detached(front: Front, framing: Framing, respond: fn() -> Response<Body>) -> (Server, String) {
    let stage = Stage::new();
    let handler = stage.clone();
    let server = Server::start(front, impatient(), move |_| {
        let stage = handler.clone();
        async move {
            stage.wait().await;
            respond()
        }
    })
    .await;
    let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
    assert_eq!(accepted.status, 202);
    stage.go();
    let wait = request(Method::GET, accepted.location()).header("prefer", "wait=60").body(()).unwrap();
    let ended = fetch(server.address, framing, wait).await;
    assert_eq!((ended.status.as_u16(), ended.body.len()), (303, 0));
    assert_eq!(ended.location(), format!("{}/result", accepted.location()));
    assert!(!ended.headers.contains_key("retry-after"));
    (server, accepted.location().to_owned())
}

async fn asked(server: &Server, framing: Framing, method: Method, path: &str, headers: &[(&str, &str)]) -> Received {
    let request = headers.iter().fold(request(method, path), |request, (name, value)| request.header(*name, *value));
    fetch(server.address, framing, request.body(()).unwrap()).await
}

fn digits() -> Response<Body> {
    Response::builder()
        .header("content-type", "text/digits")
        .header("x-many", "one")
        .header("x-many", "two")
        .header("connection", "x-of-the-connection")
        .header("x-of-the-connection", "1")
        .body(Body::from("0123456789"))
        .unwrap()
}

#[tokio::test]
async fn a_reply_is_read_whole_and_again() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, digits).await;
        for _ in 0..2 {
            let reply = get(server.address, framing, &format!("{location}/result")).await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, "0123456789"));
            assert_eq!(reply.header("content-type"), "text/digits");
            assert_eq!(reply.header("content-length"), "10");
            assert_eq!(reply.header("accept-ranges"), "bytes");
            assert_eq!(reply.headers.get_all("x-many").iter().collect::<Vec<_>>(), ["one", "two"]);
            assert!(!reply.headers.contains_key("x-of-the-connection"), "R10");
            assert!(!reply.headers.contains_key("retry-after"));
        }
    }
}

#[tokio::test]
async fn a_reply_is_read_in_part_or_only_if_it_is_new() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, digits).await;
        let result = format!("{location}/result");
        let whole = get(server.address, framing, &result).await;
        let tag = whole.header("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"'));

        let known = asked(&server, framing, Method::GET, &result, &[("if-none-match", tag)]).await;
        assert_eq!((known.status.as_u16(), known.body.len(), known.header("etag")), (304, 0, tag));

        for (range, status, body, content_range) in [
            ("bytes=2-4", 206, "234", "bytes 2-4/10"),
            ("bytes=-3", 206, "789", "bytes 7-9/10"),
            ("bytes=7-", 206, "789", "bytes 7-9/10"),
            ("bytes=0-1,3-4", 200, "0123456789", ""),
            ("lines=0-1", 200, "0123456789", ""),
        ] {
            let part = asked(&server, framing, Method::GET, &result, &[("range", range), ("if-range", tag)]).await;
            assert_eq!((part.status.as_u16(), part.text()), (status, body), "{range}");
            assert_eq!(part.header("content-range"), content_range);
            assert_eq!(part.header("content-length"), body.len().to_string());
            assert_eq!(part.header("etag"), tag);
        }
        let beyond = asked(&server, framing, Method::GET, &result, &[("range", "bytes=10-")]).await;
        assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */10"));
        let other =
            asked(&server, framing, Method::GET, &result, &[("range", "bytes=2-4"), ("if-range", "\"x\"")]).await;
        assert_eq!((other.status.as_u16(), other.text()), (200, "0123456789"));
    }
}

/// `HEAD` has the headers of `GET` and no body, everywhere, even where nothing in front of the monitor takes the body
/// off (RFC 9110, section 9.3.2).
#[tokio::test]
async fn head_is_get_without_the_body() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, digits).await;
        let unknown = "/operations/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";
        for path in [
            location.clone(),
            format!("{location}/status"),
            format!("{location}/result"),
            format!("{location}/events"),
            unknown.to_owned(),
            "/operations".to_owned(),
        ] {
            let with_body = get(server.address, framing, &path).await;
            let mut without = asked(&server, framing, Method::HEAD, &path, &[]).await;
            assert_eq!((without.status, without.body.len()), (with_body.status, 0), "{front:?} {framing:?} {path}");
            let length = without.header("content-length");
            assert!(length.is_empty() || length == with_body.body.len().to_string(), "{front:?} {framing:?} {path}");
            let mut expected = with_body.headers;
            for changing in ["date", "transfer-encoding", "connection", "content-length"] {
                expected.remove(changing);
                without.headers.remove(changing);
            }
            assert_eq!(without.headers, expected, "{front:?} {framing:?} {path}");
        }
    }
}

#[tokio::test]
async fn head_of_what_is_known_says_no_length() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, digits).await;
        let result = format!("{location}/result");
        let whole = asked(&server, framing, Method::HEAD, &result, &[]).await;
        assert_eq!((whole.status.as_u16(), whole.header("content-length")), (200, "10"));
        let known = [("if-none-match", whole.header("etag"))];
        let not_modified = asked(&server, framing, Method::HEAD, &result, &known).await;
        assert_eq!((not_modified.status.as_u16(), not_modified.header("content-length")), (304, ""));
        let events = format!("{location}/events");
        let no_more = asked(&server, framing, Method::HEAD, &events, &[("last-event-id", "end")]).await;
        assert_eq!((no_more.status.as_u16(), no_more.header("content-length")), (204, ""));
    }
}

/// Nor has the layer's own answer to it a body.
#[tokio::test]
async fn a_head_that_is_detached_or_turned_away_has_no_body() {
    for (front, framing) in ALL {
        for expected in [202, 503] {
            let operations = Operations::builder().max_operations(1);
            let policy = impatient().methods([Method::POST, Method::HEAD]).at_every_limit(AtLimit::Unavailable);
            let server = Server::start_with(front, operations, policy, |_| std::future::pending()).await;
            if expected == 503 {
                assert_eq!(asked(&server, framing, Method::POST, "/work", &[]).await.status, 202);
            }
            let head = asked(&server, framing, Method::HEAD, "/work", &[]).await;
            assert_eq!((head.status.as_u16(), head.body.len()), (expected, 0), "{front:?} {framing:?}");
        }
    }
}

/// The events of an operation that runs have no end, and a `HEAD` has one.
#[tokio::test]
async fn head_does_not_wait_for_events() {
    for (front, framing) in ALL {
        let server = Server::start(front, impatient(), |_| std::future::pending()).await;
        let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
        let events = format!("{}/events", accepted.location());
        let head = asked(&server, framing, Method::HEAD, &events, &[]).await;
        assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "text/event-stream"));
        assert_eq!(head.body.len(), 0, "{front:?} {framing:?}");
    }
}

fn with_trailers() -> Response<Body> {
    let trailers: HeaderMap =
        [("x-checksum".parse().unwrap(), "1234".parse().unwrap()), ("x-rows".parse().unwrap(), "2".parse().unwrap())]
            .into_iter()
            .collect();
    Response::new(Body::new(Full::new(Bytes::from("rows")).with_trailers(async { Some(Ok(trailers)) })))
}

/// HTTP/1 sends trailers only to who says `TE: trailers`.
#[tokio::test]
async fn trailers_are_kept_and_sent() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, with_trailers).await;
        let result = format!("{location}/result");
        for _ in 0..2 {
            let reply = asked(&server, framing, Method::GET, &result, &[("te", "trailers")]).await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, "rows"));
            let trailers = reply.trailers.expect("trailers");
            assert_eq!(
                (&trailers["x-checksum"], &trailers["x-rows"]),
                (&"1234".parse().unwrap(), &"2".parse().unwrap())
            );
        }
        let reply = get(server.address, framing, &result).await;
        assert_eq!(reply.text(), "rows");
        assert_eq!(reply.trailers.is_some(), framing == Framing::Http2, "{front:?} {framing:?}");
        let part = asked(&server, framing, Method::GET, &result, &[("range", "bytes=1-2"), ("te", "trailers")]).await;
        assert_eq!((part.text(), &part.trailers), ("ow", &None));
    }
}

#[tokio::test]
async fn a_reply_without_a_body_is_kept_as_it_is() {
    for (front, framing) in ALL {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::RESET_CONTENT, StatusCode::CREATED]
        {
            let respond: fn() -> Response<Body> = match status.as_u16() {
                204 => || Response::builder().status(204).body(Body::empty()).unwrap(),
                304 => || Response::builder().status(304).body(Body::empty()).unwrap(),
                205 => || Response::builder().status(205).body(Body::empty()).unwrap(),
                _ => || Response::builder().status(201).header("location", "/made/1").body(Body::empty()).unwrap(),
            };
            let (server, location) = detached(front, framing, respond).await;
            let reply = get(server.address, framing, &format!("{location}/result")).await;
            assert_eq!((reply.status, reply.body.len()), (status, 0), "{front:?} {framing:?}");
            let made = if status == StatusCode::CREATED { "/made/1" } else { "" };
            assert_eq!(reply.location(), made);
        }
    }
}

/// Found and replayed instead of 303.
#[tokio::test]
async fn a_policy_says_how_the_monitor_leads_to_the_reply() {
    for (front, framing) in ALL {
        for (completion, expected) in [(Completion::Found, 302), (Completion::Replay, 200)] {
            let stage = Stage::new();
            let handler = stage.clone();
            let server = Server::start(front, impatient().completion(completion), move |_| {
                let stage = handler.clone();
                async move {
                    stage.wait().await;
                    digits()
                }
            })
            .await;
            let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
            stage.go();
            let ended = asked(&server, framing, Method::GET, accepted.location(), &[("prefer", "wait=60")]).await;
            assert_eq!(ended.status, expected);
            let body = if expected == 200 { "0123456789" } else { "" };
            assert_eq!(ended.text(), body);
        }
    }
}

/// The list, and that what is deleted is gone.
#[tokio::test]
async fn an_owner_lists_and_deletes_its_operations() {
    for (front, framing) in ALL {
        let operations = Operations::builder()
            .owner(|request| request.headers.get("x-user").and_then(|user| user.to_str().ok()).map(Owner::new));
        let server =
            Server::start_with(front, operations, impatient(), |_: Request<Body>| std::future::pending()).await;
        let ann = &[("x-user", "ann")][..];
        let mut locations = Vec::new();
        for _ in 0..3 {
            let accepted = asked(&server, framing, Method::POST, "/work", ann).await;
            locations.insert(0, accepted.location().to_owned());
        }
        let listed = |received: &Received| -> Vec<String> {
            let list = received.json();
            list["operations"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["location"].as_str().unwrap().to_owned())
                .collect()
        };
        for path in ["/operations", "/operations/", "/operations?state=running&limit=3"] {
            assert_eq!(listed(&asked(&server, framing, Method::GET, path, ann).await), locations, "{path}");
        }
        let first = asked(&server, framing, Method::GET, "/operations?limit=2", ann).await;
        assert_eq!(listed(&first), locations[..2]);
        let next = format!("/operations{}", first.json()["next"].as_str().unwrap());
        assert_eq!(listed(&asked(&server, framing, Method::GET, &next, ann).await), locations[2..]);
        let bobs = asked(&server, framing, Method::GET, "/operations", &[("x-user", "bob")]).await;
        assert!(listed(&bobs).is_empty());

        let delete = |user| asked(&server, framing, Method::DELETE, &locations[0], user);
        assert_eq!(delete(&[("x-user", "bob")]).await.status, 404);
        for _ in 0..2 {
            let deleted = delete(&[("x-user", "ann")]).await;
            assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
        }
        assert_eq!(delete(&[("x-user", "ann")]).await.status, 404);
        assert_eq!(listed(&asked(&server, framing, Method::GET, "/operations", ann).await), locations[1..]);
        assert_eq!(server.operations.in_flight(), 2);
        let refused = asked(&server, framing, Method::POST, &locations[1], ann).await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET, HEAD, DELETE"));
    }
}

#[tokio::test]
async fn a_reply_larger_than_the_window_of_http2_is_read_whole() {
    for (front, framing) in ALL {
        let (server, location) = detached(front, framing, || Response::new(Body::from(vec![b'x'; 7 << 20]))).await;
        let reply = result_of(server.address, framing, &location).await;
        assert_eq!(reply.body.len(), 7 << 20);
    }
}
