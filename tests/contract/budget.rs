//! How long a request waits in line, and R1: a ready response never loses to an expired budget.

use std::{convert::Infallible, time::Duration};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_respond_async::{Operations, Policy, RequestBody, Routes};
use tower_test::mock;

use crate::support::{Answer, Incoming, SECOND, assert_took, millis, operations, post, request, send, settle, timed};

const BUDGET: Duration = Duration::from_millis(300);

fn policy() -> Policy {
    Policy::new().budget(BUDGET)
}

async fn two_minutes(_: Incoming) -> Result<Response<String>, Infallible> {
    sleep(120 * SECOND).await;
    Ok(Response::new("done".to_owned()))
}

/// Sends a request to a handler that takes two minutes.
async fn wait_for_202(operations: &Operations, routes: impl Into<Routes>, request: Request<String>) -> Duration {
    let (answer, taken) = timed(send(operations.layer(routes).layer(service_fn(two_minutes)), request)).await;
    assert_eq!(answer.status, 202);
    taken
}

/// Sends a request to a handler that takes two minutes, and waits for its own answer.
async fn wait_for_200(routes: impl Into<Routes>, request: Request<String>) -> Answer {
    let (answer, taken) = timed(send(operations().layer(routes).layer(service_fn(two_minutes)), request)).await;
    assert_eq!((answer.status.as_u16(), taken), (200, 120 * SECOND));
    answer
}

#[tokio::test(start_paused = true)]
async fn r1_a_response_that_is_ready_when_the_budget_expires_wins() {
    let operations = operations();
    let (mut service, mut inside) =
        mock::spawn_layer::<Request<RequestBody<String>>, Response<String>, _>(operations.layer(policy()));
    // How far the runtime was away when the budget expired: not at all, and for long.
    for late in [Duration::ZERO, 10 * SECOND] {
        inside.allow(1);
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(post(&[])));
        let (_, answer) = inside.next_request().await.unwrap();
        assert_pending!(response.poll());
        sleep(BUDGET + millis(8)).await;
        assert!(response.is_woken(), "the budget is over");
        advance(late).await;
        answer.send_response(Response::new("in time".to_owned()));
        let answer = assert_ready!(response.poll()).unwrap();
        assert_eq!(answer.status(), 200, "{late:?}");
        drop(response);
        settle().await;
        assert_eq!(operations.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn r1_a_runtime_that_was_busy_past_the_deadline_does_not_cost_a_ready_response() {
    // The sleep of the handler ends before the budget, but nobody looks before both are over.
    let service = service_fn(|_: Incoming| async {
        sleep(BUDGET / 2).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut response = task::spawn(operations().layer(policy()).layer(service).oneshot(post(&[])));
    assert_pending!(response.poll());
    advance(60 * SECOND).await;
    assert_eq!(assert_ready!(response.poll()).unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_over_its_budget_is_detached_never_early_and_hardly_late() {
    let operations = operations();
    for budget in [1, 4, 250, 300, 1_000, 1_024, 5_000, 60_000].map(millis) {
        assert_took(wait_for_202(&operations, policy().budget(budget), post(&[])).await, budget);
    }
    assert_eq!(operations.in_flight(), 8);
}

#[tokio::test(start_paused = true)]
async fn many_requests_with_many_budgets_are_each_detached_in_their_time() {
    let operations = operations();
    let waits = (1..200).map(|number| {
        let operations = operations.clone();
        tokio::spawn(async move {
            let budget = millis(number * 37 % 2_003 + 1);
            sleep(millis(number * 11)).await;
            assert_took(wait_for_202(&operations, policy().budget(budget), post(&[])).await, budget);
        })
    });
    for wait in waits.collect::<Vec<_>>() {
        wait.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_a_request_stays_in_line_unless_its_client_asks() {
    let policy = Policy::new().without_budget().grace(millis(20));
    let answer = wait_for_200(policy.clone(), post(&[])).await;
    assert_eq!(answer.names(), ["vary"]);
    let taken = wait_for_202(&operations(), policy, post(&[("prefer", "respond-async")])).await;
    assert_took(taken, millis(20));
}

#[tokio::test(start_paused = true)]
async fn with_a_budget_of_zero_all_but_what_is_ready_at_once_is_detached() {
    let operations = operations();
    let policy = policy().budget(Duration::ZERO);
    assert_eq!(wait_for_202(&operations, policy.clone(), post(&[])).await, Duration::ZERO);
    let at_once = service_fn(|_: Incoming| async { Ok::<_, Infallible>(Response::new(String::new())) });
    assert_eq!(send(operations.layer(policy).layer(at_once), post(&[])).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_longest_budget_is_not_too_long() {
    let answer = wait_for_200(policy().budget(Duration::MAX), post(&[])).await;
    assert_eq!(answer.body, "done");
}

#[tokio::test(start_paused = true)]
async fn a_response_in_line_is_untouched_but_for_vary() {
    let service = service_fn(|_: Incoming| async {
        sleep(millis(100)).await;
        let frames = ["one", "two"].map(|data| http_body::Frame::data(bytes::Bytes::from_static(data.as_bytes())));
        let trailers =
            http_body::Frame::trailers([("x-sum".parse().unwrap(), "7".parse().unwrap())].into_iter().collect());
        let frames = frames.into_iter().chain([trailers]).map(Ok::<_, Infallible>);
        let mut response = Response::builder()
            .status(418)
            .version(http::Version::HTTP_2)
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("connection", "close")
            .header("vary", "accept")
            .extension(42_u8)
            .body(StreamBody::new(tokio_stream::iter(frames)))
            .unwrap();
        response.headers_mut().insert("x-own", "1".parse().unwrap());
        Ok::<_, Infallible>(response)
    });
    let response = operations().layer(policy()).layer(service).oneshot(post(&[])).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.extensions().get(), Some(&42_u8));
    let (head, mut body) = response.into_parts();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    let answer = Answer::of(Response::from_parts(head, body)).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (418, &b"two"[..]));
    assert_eq!(answer.trailers.unwrap()["x-sum"], "7");
    let all = |name| answer.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("vary"), ["accept", "prefer"]);
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.headers.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_line_is_untouched() {
    let service = service_fn(|_: Incoming| async { Err::<Response<String>, BoxError>("broken".into()) });
    let error = operations().layer(policy()).layer(service).oneshot(post(&[])).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn requests_outside_the_policy_pass_untouched() {
    let listed = Routes::builder().route("/reports/{id}", policy()).build().unwrap();
    let prefer = [("prefer", "respond-async")];
    for (routes, method, path) in [
        (policy().into(), Method::GET, "/jobs"),
        (policy().methods([Method::PUT]).into(), Method::POST, "/jobs"),
        (listed.clone(), Method::POST, "/jobs"),
        (listed.clone(), Method::GET, "/reports/1"),
        (Routes::default(), Method::POST, "/jobs"),
    ] {
        let answer = wait_for_200(routes, request(method, path, &prefer)).await;
        assert_eq!(answer.names(), [""; 0], "not even Vary");
    }
    wait_for_202(&operations(), listed, request(Method::POST, "/reports/1", &prefer)).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_among_the_requests_extensions_is_the_one_that_counts() {
    let with = |policy: Policy| {
        let mut request = post(&[]);
        request.extensions_mut().insert(policy);
        request
    };
    let operations = operations();
    let quick = policy().budget(millis(40));
    assert_took(wait_for_202(&operations, policy(), with(quick.clone())).await, millis(40));
    assert_took(wait_for_202(&operations, Routes::default(), with(quick)).await, millis(40));
    wait_for_200(policy(), with(policy().without_budget())).await;
    let answer = wait_for_200(policy(), with(policy().methods([Method::PUT]))).await;
    assert_eq!(answer.names(), [""; 0], "of no concern to the layer");
    for lost in [policy().retention(Duration::ZERO), policy().max_run_time(Duration::ZERO), policy().max_reply(0)] {
        wait_for_200(policy(), with(lost)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_in_line_cost_no_place_in_the_wheel_once_they_are_answered() {
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(millis(10)).await;
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(send(operations.layer(policy()).layer(service), post(&[])).await.status, 200);
    }
    assert_eq!(begun.elapsed(), 10 * SECOND);
    // Nothing is left that would wake the runtime: the wheel rests.
    sleep(SECOND).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
