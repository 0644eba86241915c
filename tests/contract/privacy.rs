//! R10: replies keep no hop-by-hop header, `Set-Cookie` is for the owner only, credentials of the request go nowhere.

use http::{HeaderMap, Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower_respond_async::{OperationId, Operations, Policy};

use crate::support::{Answer, Job, ReplyBody, ask, operations, owned, post, reply};

const ANN: [(&str, &str); 1] = [("x-user", "ann")];

async fn kept(operations: &Operations, headers: &[(&str, &str)], reply: Response<ReplyBody>) -> Answer {
    let location = Job::begin_with(operations, Policy::new(), post(headers)).await.reply(reply).await;
    ask(operations, Method::GET, &format!("{location}/result"), headers).await
}

fn with(fields: &[(&'static str, &'static str)]) -> Response<ReplyBody> {
    let mut reply = reply(404, "text");
    for (name, value) in fields {
        reply.headers_mut().append(*name, value.parse().unwrap());
    }
    reply
}

#[tokio::test(start_paused = true)]
async fn r10_no_hop_by_hop_header_is_kept() {
    let reply = with(&[
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authorization", "Basic eDp5"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("content-length", "4"),
        ("content-type", "text/plain"),
        ("x-own", "1"),
    ]);
    let result = kept(&operations(), &[], reply).await;
    assert_eq!(result.names(), ["cache-control", "content-type", "x-own"]);
    assert_eq!(result.body, "text");
}

#[tokio::test(start_paused = true)]
async fn r10_cookies_are_kept_for_an_owner_only() {
    let cookies = [("set-cookie", "a=1"), ("set-cookie", "b=2")];
    let operations = owned().build().unwrap();
    let result = kept(&operations, &ANN, with(&cookies)).await;
    assert_eq!(result.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(kept(&operations, &[], with(&cookies)).await.names(), ["cache-control"]);
    assert_eq!(kept(&crate::support::operations(), &ANN, with(&cookies)).await.names(), ["cache-control"]);
}

#[tokio::test(start_paused = true)]
async fn r10_nor_do_trailers_bring_any_of_it_back() {
    let trailers = |names: [&'static str; 3]| {
        let trailers = HeaderMap::from_iter(names.map(|name| (name.parse().unwrap(), "1".parse().unwrap())));
        let frames = tokio_stream::iter([Ok(Frame::trailers(trailers))]);
        Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
    };
    let result = kept(&operations(), &[], trailers(["set-cookie", "transfer-encoding", "x-sum"])).await;
    assert_eq!(result.trailers.unwrap().keys().collect::<Vec<_>>(), ["x-sum"]);
    assert_eq!(result.headers["trailer"], "x-sum");
}

#[tokio::test(start_paused = true)]
async fn r10_nothing_that_is_shown_repeats_a_credential_of_the_request() {
    let operations = owned().build().unwrap();
    let headers = [
        ("x-user", "ann-secret"),
        ("authorization", "Bearer secret"),
        ("cookie", "session=secret"),
        ("proxy-authorization", "Basic secret"),
        ("prefer", "wait=0"),
    ];
    let job = Job::begin_with(&operations, Policy::new(), post(&headers)).await;
    let (paths, accepted) = (["", "/status", "/result"].map(|path| format!("{}{path}", job.location)), &job.accepted);
    let mut shown = vec![format!("{accepted:?} {operations:?}")];
    let location = job.reply(reply(200, "")).await;
    for path in paths.iter().map(String::as_str).chain(["/operations", &format!("{location}/events")]) {
        shown.push(format!("{:?}", ask(&operations, Method::GET, path, &headers).await));
    }
    for shown in shown {
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn r10_ids_are_version_4_uuids_and_all_different() {
    let operations = operations();
    let mut ids = std::collections::HashSet::new();
    for _ in 0..100 {
        let id: OperationId = Job::begin(&operations, Policy::new()).await.handle.id();
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "4"), "{text}");
        assert!(ids.insert(text));
    }
}
