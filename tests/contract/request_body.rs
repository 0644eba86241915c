//! R3: until the request body has ended, the request is not detached. If the handler is not reading, the layer pumps
//! the rest into memory up to a limit, else the request stays in line.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::{BoxError, Layer, service_fn};
use tower_respond_async::{AtLimit, Limit, OnDisconnect, Operations, Policy, RequestBody, problem::Kind};

use crate::support::{Answer, SECOND, assert_took, operations, result, send, settle};

/// The body of a request, as a connection delivers it.
struct Upload {
    frames: mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>>,
    /// What is still to come of a body whose length was announced.
    left: Option<u64>,
    polls: Arc<AtomicUsize>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        if self.left == Some(0) {
            // As HTTP/1 does once the response is out: it says so when asked, and gives no end.
            return Poll::Pending;
        }
        let polled = self.frames.poll_recv(context);
        if let (Some(left), Poll::Ready(Some(Ok(frame)))) = (&mut self.left, &polled) {
            *left -= frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The client's end of it.
struct Client {
    frames: mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>,
    polls: Arc<AtomicUsize>,
}

impl Client {
    fn request(length: Option<u64>, headers: &[(&str, &str)]) -> (Self, Request<Upload>) {
        let (sender, frames) = mpsc::unbounded_channel();
        let polls = Arc::new(AtomicUsize::new(0));
        let upload = Upload { frames, left: length, polls: Arc::clone(&polls) };
        let request = crate::support::request(Method::POST, "/jobs", headers).map(|_| upload);
        (Self { frames: sender, polls }, request)
    }

    fn send(&self, data: &'static str) {
        self.frames.send(Ok(Frame::data(data.into()))).unwrap();
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }
}

/// A handler that does nothing before it is told to; then it reads the body, and after a minute echoes it.
struct Echo {
    /// Once this is sent or dropped.
    read: Option<oneshot::Sender<()>>,
    answer: JoinHandle<Answer>,
    begun: Instant,
}

const BUDGET: Duration = SECOND;

fn policy() -> Policy {
    Policy::new().budget(BUDGET).max_request_body(20)
}

impl Echo {
    fn begin(operations: &Operations, policy: Policy, request: Request<Upload>) -> Self {
        let (read, told) = oneshot::channel();
        let mut told = Some(told);
        let service = service_fn(move |request: Request<RequestBody<Upload>>| {
            let told = told.take().unwrap();
            async move {
                told.await.ok();
                let body = request.into_body().collect().await?;
                sleep(59 * SECOND).await;
                let trailers = body.trailers().map(|trailers| format!("{trailers:?}")).unwrap_or_default();
                let text = String::from_utf8(body.to_bytes().into()).unwrap();
                Ok::<_, BoxError>(Response::new(text + trailers.as_str()))
            }
        });
        let answer = tokio::spawn(send(operations.layer(policy).layer(service), request));
        Self { read: Some(read), answer, begun: Instant::now() }
    }

    /// Has the handler read.
    fn read(&mut self) {
        self.read.take().unwrap().send(()).unwrap();
    }

    /// What the client gets, and after what time.
    async fn answer(self) -> (Answer, Duration) {
        let answer = self.answer.await.unwrap();
        (answer, self.begun.elapsed())
    }

    async fn assert_in_line_until(&self, moment: Duration) {
        tokio::time::sleep_until(self.begun + moment).await;
        assert!(!self.answer.is_finished(), "not detached before {moment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_the_handler_does_not_read_is_pumped_and_then_detached() {
    let operations = operations();
    let (client, request) = Client::request(None, &[]);
    let mut echo = Echo::begin(&operations, policy(), request);
    client.send("some ");
    echo.assert_in_line_until(5 * SECOND).await;
    client.send("more");
    echo.assert_in_line_until(6 * SECOND).await;
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    client.frames.send(Ok(Frame::trailers(trailers))).unwrap();
    drop(client);
    let read = echo.read.take().unwrap();
    let (accepted, taken) = echo.answer().await;
    assert_eq!((accepted.status.as_u16(), taken), (202, 6 * SECOND), "detached as soon as it is here whole");
    read.send(()).unwrap();
    let result = result(&operations, accepted.header("location")).await;
    assert_eq!(result.body, r#"some more{"x-sum": "7"}"#);
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_says_its_end_only_when_asked_is_whole_then() {
    let operations = operations();
    for reads in [false, true] {
        let (client, request) = Client::request(Some(4), &[]);
        let mut echo = Echo::begin(&operations, policy(), request);
        if reads {
            // The handler waits for the last byte itself.
            echo.read();
        }
        client.send("all");
        echo.assert_in_line_until(2 * SECOND).await;
        client.send("!");
        let read = echo.read.take();
        let (accepted, taken) = echo.answer().await;
        drop(read);
        assert_eq!((accepted.status.as_u16(), taken), (202, 2 * SECOND), "{reads}");
        assert_eq!(result(&operations, accepted.header("location")).await.body, "all!");
    }
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_is_here_in_time_costs_no_time() {
    let operations = operations();
    let (client, request) = Client::request(Some(4), &[]);
    let echo = Echo::begin(&operations, policy(), request);
    client.send("all!");
    settle().await;
    assert_eq!(client.polls(), 0, "nothing is read before the budget is over");
    let (accepted, taken) = echo.answer().await;
    assert_eq!(accepted.status, 202);
    assert_took(taken, BUDGET);
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_over_the_limit_stays_in_line_until_the_handler_has_read_it() {
    let operations = operations();
    for length in [None, Some(30)] {
        let (client, request) = Client::request(length, &[]);
        let mut echo = Echo::begin(&operations, policy(), request);
        client.send("0123456789");
        client.send("0123456789");
        client.send("0123456789");
        echo.assert_in_line_until(5 * SECOND).await;
        // What is known to be too long is not begun with.
        assert_eq!(client.polls() > 0, length.is_none());
        drop(client);
        echo.read();
        let (accepted, taken) = echo.answer().await;
        assert_eq!((accepted.status.as_u16(), taken), (202, 5 * SECOND), "{length:?}");
        let result = result(&operations, accepted.header("location")).await;
        assert_eq!(result.body, "0123456789".repeat(3));
    }
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_of_exactly_the_limit_is_pumped() {
    for (limit, status) in [(30, 202), (29, 200)] {
        let operations = operations();
        let (client, request) = Client::request(Some(30), &[]);
        let _echo = Echo::begin(&operations, policy().max_request_body(limit), request);
        client.send("0123456789");
        client.send("01234567890123456789");
        sleep(2 * SECOND).await;
        assert_eq!(operations.in_flight(), usize::from(status == 202), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_over_the_limit_is_503_where_the_policy_says_so() {
    let (client, request) = Client::request(Some(30), &[]);
    let policy = policy().at_limit(Limit::RequestBody, AtLimit::Unavailable);
    let operations = operations();
    let (answer, taken) = Echo::begin(&operations, policy, request).answer().await;
    answer.assert_problem(Kind::Unavailable);
    answer.retry_after();
    assert_took(taken, BUDGET);
    assert!(client.frames.is_closed(), "nobody reads any more");
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_breaks_off_reaches_the_handler_as_it_is_and_is_not_detached() {
    let operations = operations();
    let service = service_fn(|request: Request<RequestBody<Upload>>| async {
        sleep(10 * SECOND).await;
        let mut body = request.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        sleep(10 * SECOND).await;
        Ok::<_, BoxError>(Response::new(format!("{first:?} {error}")))
    });
    let (client, request) = Client::request(None, &[]);
    client.send("half");
    client.frames.send(Err("broken".into())).unwrap();
    let answer = send(operations.layer(policy()).layer(service), request).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &br#"b"half" broken"#[..]));
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_breaks_off_reaches_the_handler_though_the_request_has_a_key() {
    let operations = operations();
    let service = service_fn(|request: Request<RequestBody<Upload>>| async {
        let error = request.into_body().collect().await.unwrap_err();
        Ok::<_, BoxError>(Response::new(error.to_string()))
    });
    let (client, request) = Client::request(None, &[("idempotency-key", "\"k\"")]);
    client.send("half");
    client.frames.send(Err("broken".into())).unwrap();
    let answer = send(operations.layer(policy()).layer(service), request).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"broken"[..]));
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_the_handler_does_not_want_is_not_waited_for() {
    let service = service_fn(|request: Request<RequestBody<Upload>>| async {
        sleep(5 * SECOND).await;
        drop(request);
        std::future::pending::<Result<Response<String>, BoxError>>().await
    });
    let (_client, request) = Client::request(Some(1_000), &[]);
    let begun = Instant::now();
    let answer = send(operations().layer(policy()).layer(service), request).await;
    assert_eq!((answer.status.as_u16(), begun.elapsed()), (202, 5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn r3_what_the_handler_reads_while_the_layer_pumps_is_in_order() {
    let operations = operations();
    let (client, request) = Client::request(None, &[]);
    let mut echo = Echo::begin(&operations, policy(), request);
    client.send("a");
    client.send("b");
    echo.assert_in_line_until(2 * SECOND).await;
    client.send("c");
    echo.read();
    client.send("d");
    echo.assert_in_line_until(3 * SECOND).await;
    client.send("e");
    drop(client);
    let (accepted, _) = echo.answer().await;
    assert_eq!(result(&operations, accepted.header("location")).await.body, "abcde");
}

#[tokio::test(start_paused = true)]
async fn r3_what_waits_in_memory_never_exceeds_the_limit() {
    let operations = operations();
    let (client, request) = Client::request(None, &[]);
    let _echo = Echo::begin(&operations, policy(), request);
    for _ in 0..100 {
        client.send("0123456789");
    }
    sleep(5 * SECOND).await;
    assert_eq!(client.polls(), 2, "twenty bytes");
}

#[tokio::test(start_paused = true)]
async fn r4_who_hangs_up_while_the_body_arrives_cancels_whatever_the_policy_says() {
    let operations = operations();
    let (client, request) = Client::request(Some(10), &[]);
    let echo = Echo::begin(&operations, policy().on_disconnect(OnDisconnect::Detach), request);
    client.send("half.");
    settle().await;
    echo.answer.abort();
    settle().await;
    assert!(client.frames.is_closed());
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r13_who_expects_100_continue_is_told_so_by_the_handler_alone() {
    let operations = operations();
    let (client, request) = Client::request(Some(4), &[("expect", "100-continue")]);
    let mut echo = Echo::begin(&operations, policy(), request);
    client.send("all!");
    echo.assert_in_line_until(5 * SECOND).await;
    assert_eq!(client.polls(), 0, "reading is what tells the client to send");
    echo.read();
    let (accepted, taken) = echo.answer().await;
    assert_eq!((accepted.status.as_u16(), taken), (202, 5 * SECOND));
    assert_eq!(result(&operations, accepted.header("location")).await.body, "all!");
}

#[tokio::test(start_paused = true)]
async fn r7_a_body_that_comes_byte_by_byte_takes_no_more_memory_than_another() {
    let operations = operations();
    let (client, request) = Client::request(None, &[]);
    let mut echo = Echo::begin(&operations, policy().max_request_body(1_000), request);
    for _ in 0..900 {
        client.send("x");
    }
    echo.assert_in_line_until(5 * SECOND).await;
    assert!(client.polls() < 50, "read {} frames of one byte", client.polls());
    echo.read();
    drop(client);
    let (accepted, taken) = echo.answer().await;
    assert_eq!((accepted.status.as_u16(), taken), (202, 5 * SECOND), "detached as soon as the handler has read it");
    assert_eq!(result(&operations, accepted.header("location")).await.body.len(), 900);
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_another_task_has_looked_at_is_pumped_all_the_same() {
    let operations = operations();
    let (client, request) = Client::request(None, &[]);
    let service = service_fn(|request: Request<RequestBody<Upload>>| async move {
        tokio::spawn(async move {
            let mut body = request.into_body();
            let looked = tokio::time::timeout(2 * SECOND, body.frame()).await;
            assert!(looked.is_err());
            sleep(60 * SECOND).await;
            drop(body);
        });
        sleep(60 * SECOND).await;
        Ok::<_, BoxError>(Response::new(String::new()))
    });
    let begun = Instant::now();
    let answer = tokio::spawn(send(operations.layer(policy()).layer(service), request));
    sleep(5 * SECOND).await;
    client.send("late");
    drop(client);
    assert_eq!((answer.await.unwrap().status.as_u16(), begun.elapsed()), (202, 5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn r3_a_broken_body_that_the_handler_has_given_up_keeps_nothing_in_line() {
    let operations = operations();
    let (client, request) = Client::request(None, &[]);
    let service = service_fn(|request: Request<RequestBody<Upload>>| async move {
        assert!(request.into_body().collect().await.is_err());
        sleep(60 * SECOND).await;
        Ok::<_, BoxError>(Response::new(String::new()))
    });
    let begun = Instant::now();
    let answer = tokio::spawn(send(operations.layer(policy()).layer(service), request));
    client.frames.send(Err("broken".into())).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 202);
    assert_took(begun.elapsed(), BUDGET);
}
