//! Server-sent events: what happens to an operation, told as it happens.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use tower_respond_async::{MonitorBody, Operations, Policy, Progress, problem::Kind};

use crate::support::{Job, SECOND, ask, delete, get, millis, operations, reply, request, settle};

/// One client that listens.
struct Listener(MonitorBody);

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Listener {
    async fn open(operations: &Operations, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = operations.monitor().oneshot(request(Method::GET, path, headers)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self(response.into_body())
    }

    async fn resume(operations: &Operations, job: &Job, id: &str) -> Self {
        Self::open(operations, &job.path("events"), &[("last-event-id", id)]).await
    }

    /// The next chunk as it is on the wire; `None` at the end of the stream.
    async fn chunk(&mut self) -> Option<String> {
        let frame = self.0.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().into()).unwrap())
    }

    async fn event(&mut self) -> Event {
        let chunk = self.chunk().await.expect("an event");
        let mut lines = chunk.strip_suffix("\n\n").expect("a whole event").lines();
        let mut field =
            |name: &str| lines.next().unwrap().strip_prefix(name).unwrap_or_else(|| panic!("{chunk}")).to_owned();
        let (name, id, data) = (field("event: "), field("id: "), field("data: "));
        assert_eq!(lines.next(), None, "{chunk}");
        Event { name, id, data: serde_json::from_str(&data).unwrap() }
    }

    async fn expect(&mut self, name: &str, id: &str) -> Value {
        let event = self.event().await;
        assert_eq!((&*event.name, &*event.id), (name, id));
        event.data
    }

    async fn expect_progress(&mut self, id: &str, fraction: f64) {
        assert_eq!(self.expect("progress", id).await["progress"]["fraction"], fraction);
    }
}

async fn job() -> (Operations, Job) {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    (operations, job)
}

#[tokio::test(start_paused = true)]
async fn they_come_in_order_and_end_with_the_operation() {
    let (operations, job) = job().await;
    let mut by_path = Listener::open(&operations, &job.path("events"), &[]).await;
    let mut by_accept = Listener::open(&operations, &job.location, &[("accept", "text/event-stream")]).await;
    let document = by_path.expect("running", "1").await;
    assert_eq!(document, job.accepted.json(), "the data are the status document");
    by_accept.expect("running", "1").await;
    job.handle.set_progress(Progress::new(0.5).message("half"));
    let document = by_path.expect("progress", "2").await;
    assert_eq!(document["progress"], serde_json::json!({ "fraction": 0.5, "message": "half" }));
    by_accept.expect_progress("2", 0.5).await;
    let status = job.path("status");
    job.reply(reply(200, "")).await;
    let document = by_path.expect("succeeded", "end").await;
    assert_eq!(document, get(&operations, &status).await.json());
    by_accept.expect("succeeded", "end").await;
    assert_eq!((by_path.chunk().await, by_accept.chunk().await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn they_end_as_the_operation_ends() {
    let (operations, canceled) = job().await;
    let mut listener = Listener::open(&operations, &canceled.path("events"), &[]).await;
    listener.expect("running", "1").await;
    assert_eq!(delete(&operations, &canceled.location).await.status, 204);
    listener.expect("canceled", "end").await;
    assert_eq!(listener.chunk().await, None);

    let (operations, failed) = job().await;
    let path = failed.path("events");
    failed.reply(reply(500, "")).await;
    let mut listener = Listener::open(&operations, &path, &[]).await;
    assert_eq!(listener.expect("failed", "end").await["error"]["code"], "500");
    assert_eq!(listener.chunk().await, None);
}

#[tokio::test(start_paused = true)]
async fn whoever_resumes_is_told_what_has_happened_since() {
    let (operations, job) = job().await;
    for (id, first) in [("0", "running"), ("x", "running"), ("-1", "running"), ("+1", "running"), ("7", "running")] {
        let mut listener = Listener::resume(&operations, &job, id).await;
        assert_eq!(listener.event().await.name, first, "{id} is not of this operation");
    }
    job.handle.set_progress(0.1);
    job.handle.set_progress(0.2);
    Listener::resume(&operations, &job, "1").await.expect_progress("3", 0.2).await;
    Listener::resume(&operations, &job, "2").await.expect_progress("3", 0.2).await;
    let mut up_to_date = Listener::resume(&operations, &job, "3").await;
    let mut mistaken = Listener::resume(&operations, &job, "end").await;
    mistaken.expect("running", "1").await;
    mistaken.expect_progress("3", 0.2).await;
    sleep(SECOND).await;
    job.handle.set_progress(0.3);
    up_to_date.expect_progress("4", 0.3).await;
    let path = job.path("events");
    job.reply(reply(200, "")).await;
    up_to_date.expect("succeeded", "end").await;
    for id in ["1", "3", "4", "99"] {
        let mut listener = Listener::open(&operations, &path, &[("last-event-id", id)]).await;
        listener.expect("succeeded", "end").await;
        assert_eq!(listener.chunk().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_seen_the_end_gets_204_and_comes_no_more() {
    let (operations, job) = job().await;
    let (path, seen) = (job.path("events"), [("last-event-id", "end")]);
    job.reply(reply(200, "")).await;
    let answer = ask(&operations, Method::GET, &path, &seen).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
}

#[tokio::test(start_paused = true)]
async fn a_comment_every_15_seconds_keeps_the_connection_alive() {
    let (operations, job) = job().await;
    let mut listener = Listener::open(&operations, &job.path("events"), &[]).await;
    listener.expect("running", "1").await;
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(listener.chunk().await.unwrap(), ": keep-alive\n\n");
        assert_eq!(begun.elapsed(), 15 * SECOND);
    }
    sleep(5 * SECOND).await;
    job.handle.set_progress(0.5);
    listener.expect_progress("2", 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_ten_times_a_second_at_most_and_the_latest_is_never_lost() {
    let (operations, job) = job().await;
    let mut listener = Listener::open(&operations, &job.path("events"), &[]).await;
    listener.expect("running", "1").await;
    let work = async {
        for step in 1..=997 {
            job.handle.set_progress(f64::from(step) / 1_000.0);
            sleep(millis(1)).await;
        }
    };
    let read = async {
        let (mut told, mut last) = (Vec::new(), Value::Null);
        while last != 0.997 {
            last = listener.event().await.data["progress"]["fraction"].clone();
            told.push(Instant::now());
        }
        told
    };
    let ((), told) = tokio::join!(work, read);
    assert!((9..=11).contains(&told.len()), "{} events", told.len());
    assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= millis(100)));
    // The last one was told at most one period after it was set.
    assert!(told[told.len() - 1] - told[0] <= millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_the_pause_between_two_reports() {
    let (operations, job) = job().await;
    let mut listener = Listener::open(&operations, &job.path("events"), &[]).await;
    listener.expect("running", "1").await;
    job.handle.set_progress(0.1);
    listener.expect_progress("2", 0.1).await;
    job.handle.set_progress(0.2);
    job.reply(reply(200, "")).await;
    let begun = Instant::now();
    listener.expect("succeeded", "end").await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_same_progress_again_is_no_event() {
    let (operations, job) = job().await;
    let mut listener = Listener::open(&operations, &job.path("events"), &[]).await;
    listener.expect("running", "1").await;
    job.handle.set_progress(0.5);
    listener.expect_progress("2", 0.5).await;
    job.handle.set_progress(0.5);
    assert_eq!(listener.chunk().await.unwrap(), ": keep-alive\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_comes_during_the_work_is_told_where_it_stands() {
    let (operations, job) = job().await;
    job.handle.set_progress(0.5);
    let mut listener = Listener::open(&operations, &job.path("events"), &[]).await;
    assert_eq!(listener.expect("running", "1").await["progress"]["fraction"], 0.5);
    listener.expect_progress("2", 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_forgotten_ends_its_streams() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new().retention(Duration::from_nanos(1))).await;
    let mut listener = Listener::open(&operations, &job.path("events"), &[]).await;
    listener.expect("running", "1").await;
    job.reply(reply(200, "")).await;
    assert_eq!(listener.chunk().await, None);
}

#[tokio::test(start_paused = true)]
async fn listeners_that_leave_are_not_waited_for() {
    let (operations, job) = job().await;
    for _ in 0..10 {
        let mut listener = Listener::open(&operations, &job.path("events"), &[]).await;
        listener.expect("running", "1").await;
    }
    job.handle.set_progress(0.5);
    let location = job.reply(reply(200, "")).await;
    assert_eq!(get(&operations, &location).await.status, 303);
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn there_are_none_of_an_unknown_operation() {
    let unknown = "/operations/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa/events";
    get(&operations(), unknown).await.assert_problem(Kind::NotFound);
}
