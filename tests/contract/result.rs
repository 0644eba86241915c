//! The result: the reply, whole, as often as it is asked for.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::sleep;
use tower::BoxError;
use tower_respond_async::{Operations, Policy, problem::Kind};

use crate::support::{Answer, Job, ReplyBody, SECOND, ask, get, operations, reply};

const TEXT: &str = "0123456789";

async fn kept(reply: Response<ReplyBody>) -> (Operations, String) {
    let operations = operations();
    let location = Job::begin(&operations, Policy::new()).await.reply(reply).await;
    (operations, format!("{location}/result"))
}

/// Asks for ten bytes of text.
async fn asked(method: Method, headers: &[(&str, &str)]) -> Answer {
    let (operations, path) = kept(reply(200, TEXT)).await;
    ask(&operations, method, &path, headers).await
}

fn streamed(frames: Vec<Frame<Bytes>>) -> Response<ReplyBody> {
    let frames = tokio_stream::iter(frames.into_iter().map(Ok::<_, BoxError>));
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

#[tokio::test(start_paused = true)]
async fn it_is_pending_while_the_operation_runs() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let answer = ask(&operations, Method::GET, &job.path("result"), &[]).await;
    answer.assert_problem(Kind::OperationPending);
    answer.retry_after();
    let described = ask(&operations, Method::HEAD, &job.path("result"), &[]).await;
    assert_eq!((described.status, described.body.len()), (Kind::OperationPending.status(), 0));
    assert_eq!(described.header("content-length"), answer.body.len().to_string());
    described.retry_after();
}

#[tokio::test(start_paused = true)]
async fn it_is_the_handlers_reply_and_can_be_read_again_until_it_expires() {
    let binary = Bytes::from_iter((0..=255).cycle().take(100_000));
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    let parts = [0..10, 10..10, 10..70_000, 70_000..100_000];
    let frames = parts.map(|part| Frame::data(binary.slice(part))).into_iter().chain([Frame::trailers(trailers)]);
    let mut reply = streamed(frames.collect());
    *reply.status_mut() = http::StatusCode::MULTI_STATUS;
    reply.headers_mut().insert("x-own", "1".parse().unwrap());
    for link in ["</a>; rel=next", "</b>; rel=prev"] {
        reply.headers_mut().append("link", link.parse().unwrap());
    }
    let (operations, path) = kept(reply).await;
    for _ in 0..3 {
        sleep(100 * SECOND).await;
        let answer = get(&operations, &path).await;
        assert_eq!(answer.status, 207);
        assert_eq!(answer.header("x-own"), "1");
        assert_eq!(answer.headers.get_all("link").iter().collect::<Vec<_>>(), ["</a>; rel=next", "</b>; rel=prev"]);
        assert_eq!(answer.header("trailer"), "x-sum");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        assert_eq!(answer.headers.len(), 5);
        assert_eq!(answer.body, binary);
        assert_eq!(answer.trailers.unwrap()["x-sum"], "7");
    }
    sleep(Duration::from_secs(300)).await;
    get(&operations, &path).await.assert_problem(Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_reply_keeps_its_own_retry_after_and_else_has_none() {
    let mut busy = reply(503, "busy");
    busy.headers_mut().insert("retry-after", "77".parse().unwrap());
    let (operations, path) = kept(busy).await;
    assert_eq!(get(&operations, &path).await.header("retry-after"), "77");
    let (operations, path) = kept(reply(503, "busy")).await;
    assert!(!get(&operations, &path).await.headers.contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn no_cache_may_keep_what_the_handler_did_not_say_may_be_kept() {
    for name in ["cache-control", "expires"] {
        let mut own = reply(200, TEXT);
        own.headers_mut().insert(name, "max-age=60".parse().unwrap());
        let (operations, path) = kept(own).await;
        let answer = get(&operations, &path).await;
        assert_eq!(answer.header(name), "max-age=60");
        assert_eq!(answer.headers.contains_key("cache-control"), name == "cache-control");
    }
    assert_eq!(asked(Method::GET, &[]).await.header("cache-control"), "private, no-cache");
}

#[tokio::test(start_paused = true)]
async fn head_is_everything_but_the_body() {
    let whole = asked(Method::GET, &[]).await;
    let head = asked(Method::HEAD, &[]).await;
    assert_eq!((head.status, head.body.len()), (whole.status, 0));
    assert_eq!(head.header("content-length"), "10");
    assert_eq!(head.names(), ["accept-ranges", "cache-control", "content-length", "etag"]);
    assert_eq!(whole.names(), ["accept-ranges", "cache-control", "etag"]);
}

#[tokio::test(start_paused = true)]
async fn head_knows_no_range() {
    // RFC 9110, section 14.2: only GET does.
    let head = asked(Method::HEAD, &[("range", "bytes=2-4")]).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "10"));
}

#[tokio::test(start_paused = true)]
async fn who_has_it_already_gets_304() {
    let (operations, path) = kept(reply(200, TEXT)).await;
    let tag = get(&operations, &path).await.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is a strong tag");
    for (header, status) in [(&*tag, 304), ("*", 304), (&format!("\"x\", W/{tag}"), 304), ("\"x\"", 200)] {
        for method in [Method::GET, Method::HEAD] {
            let answer = ask(&operations, method.clone(), &path, &[("if-none-match", header)]).await;
            assert_eq!(answer.status, status, "{header}");
            assert_eq!(answer.header("etag"), tag);
            assert_eq!(answer.body.len(), if status == 200 && method == Method::GET { 10 } else { 0 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_says_nothing_of_the_body_that_it_leaves_out() {
    // RFC 9110, section 15.4.5.
    let mut described = reply(200, TEXT);
    let metadata = ["content-type", "content-encoding", "content-language", "last-modified"];
    let kept = ["cache-control", "content-location", "date", "etag", "expires", "vary", "x-own"];
    for name in metadata.into_iter().chain(kept) {
        described.headers_mut().insert(name, "\"1\"".parse().unwrap());
    }
    let (operations, path) = self::kept(described).await;
    let answer = ask(&operations, Method::GET, &path, &[("if-none-match", "*")]).await;
    assert_eq!((answer.status.as_u16(), answer.names()), (304, kept.to_vec()));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_what_the_client_means_is_412() {
    let mut dated = reply(200, TEXT);
    dated.headers_mut().insert("etag", "\"own\"".parse().unwrap());
    dated.headers_mut().insert("last-modified", "Sat, 01 Jan 2022 00:00:00 GMT".parse().unwrap());
    let (operations, path) = kept(dated).await;
    let (before, after) = ("Fri, 31 Dec 2021 00:00:00 GMT", "Sun, 02 Jan 2022 00:00:00 GMT");
    for (headers, status) in [
        (&[("if-match", "\"other\"")][..], 412),
        (&[("if-match", "\"other\", \"own\"")], 200),
        (&[("if-match", "\"other\""), ("if-none-match", "\"own\""), ("range", "bytes=2-4")], 412),
        (&[("if-match", "\"own\""), ("if-unmodified-since", before)], 200),
        (&[("if-match", "*"), ("if-none-match", "\"own\"")], 304),
        (&[("if-unmodified-since", before)], 412),
        (&[("if-unmodified-since", after), ("range", "bytes=2-4")], 206),
        (&[("if-modified-since", after)], 304),
        (&[("if-modified-since", before)], 200),
        (&[("if-modified-since", after), ("if-none-match", "\"other\"")], 200),
    ] {
        let answer = ask(&operations, Method::GET, &path, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        match status {
            412 => answer.assert_problem(Kind::PreconditionFailed),
            _ => assert_eq!(answer.header("etag"), "\"own\""),
        }
    }
    // Without a date there is nothing to compare with.
    for name in ["if-modified-since", "if-unmodified-since"] {
        assert_eq!(asked(Method::GET, &[(name, after)]).await.status, 200, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_handlers_own_tag_counts() {
    let mut tagged = reply(200, TEXT);
    tagged.headers_mut().insert("etag", "\"own\"".parse().unwrap());
    let (operations, path) = kept(tagged).await;
    assert_eq!(get(&operations, &path).await.header("etag"), "\"own\"");
    assert_eq!(ask(&operations, Method::GET, &path, &[("if-none-match", "\"own\"")]).await.status, 304);
}

#[tokio::test(start_paused = true)]
async fn parts_are_206() {
    for (range, content_range, part) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=7-99", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
    ] {
        let answer = asked(Method::GET, &[("range", range)]).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (206, part.as_bytes()), "{range}");
        assert_eq!(answer.header("content-range"), content_range);
        assert!(answer.headers.contains_key("etag"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_not_there_is_416() {
    let answer = asked(Method::GET, &[("range", "bytes=10-")]).await;
    answer.assert_problem(Kind::RangeNotSatisfiable);
    assert_eq!(answer.header("content-range"), "bytes */10");
}

#[tokio::test(start_paused = true)]
async fn several_parts_and_nonsense_are_the_whole() {
    for range in ["bytes=0-1,4-5", "lines=1-2", "bytes=5-2", "bytes", ""] {
        let answer = asked(Method::GET, &[("range", range)]).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, TEXT.as_bytes()), "{range}");
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_is_given_only_of_what_the_client_has_begun_with() {
    let (operations, path) = kept(reply(200, TEXT)).await;
    let tag = get(&operations, &path).await.header("etag").to_owned();
    for (if_range, status) in
        [(&*tag, 206), ("\"other\"", 200), (&format!("W/{tag}"), 200), ("Sat, 01 Jan 2022 00:00:00 GMT", 200)]
    {
        let headers = [("range", "bytes=2-4"), ("if-range", if_range)];
        assert_eq!(ask(&operations, Method::GET, &path, &headers).await.status, status, "{if_range}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_replies_than_200_know_neither_parts_nor_tags() {
    let (operations, path) = kept(reply(404, TEXT)).await;
    let answer = ask(&operations, Method::GET, &path, &[("range", "bytes=2-4"), ("if-none-match", "*")]).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (404, TEXT.as_bytes()));
    assert_eq!(answer.names(), ["cache-control"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_reply_is_empty() {
    let (operations, path) = kept(reply(204, "")).await;
    let answer = get(&operations, &path).await;
    assert_eq!((answer.status.as_u16(), answer.body.len(), answer.trailers), (204, 0, None));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_being_read_outlives_its_operation() {
    use tower::ServiceExt;

    let (operations, path) = kept(reply(200, TEXT)).await;
    let request = crate::support::request(Method::GET, &path, &[]);
    let response = operations.monitor().oneshot(request).await.unwrap();
    let location = path.strip_suffix("/result").unwrap();
    assert_eq!(crate::support::delete(&operations, location).await.status, 204);
    assert_eq!(Answer::of(response).await.body, TEXT);
}
