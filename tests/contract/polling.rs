//! The status monitor while an operation runs and after: polls, waits, the status document.

use std::{convert::Infallible, time::Duration};

use http::Method;
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_respond_async::{Operations, Policy, Progress, Routes, problem::Kind};

use crate::support::{Answer, Incoming, Job, SECOND, ask, get, millis, operations, owned, post, reply, send, timed};

const UNKNOWN: &str = "/operations/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";

async fn wait(operations: &Operations, location: &str, prefer: &str) -> (Answer, Duration) {
    timed(ask(operations, Method::GET, location, &[("prefer", prefer)])).await
}

#[tokio::test(start_paused = true)]
async fn a_running_operation_is_202_with_location_and_retry_after() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let answer = get(&operations, &job.location).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("location"), job.location);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.retry_after();
    assert_eq!(answer.json(), job.accepted.json());
}

#[tokio::test(start_paused = true)]
async fn an_ended_operation_is_303_to_its_result_without_retry_after() {
    let operations = operations();
    let location = Job::begin(&operations, Policy::new()).await.reply(reply(201, "done")).await;
    let answer = get(&operations, &location).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), format!("{location}/result"));
    assert_eq!(answer.names(), ["cache-control", "location"]);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.body.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_status_document_of_a_running_operation_shows_its_progress() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    job.handle.set_progress(Progress::new(0.4).message("tile 4 of 10"));
    for path in [job.path("status"), job.location.clone()] {
        let answer = get(&operations, &path).await;
        answer.retry_after();
        let document = answer.json();
        assert_eq!(document["status"], "running");
        assert_eq!(document["progress"], serde_json::json!({ "fraction": 0.4, "message": "tile 4 of 10" }));
        assert_eq!(document.get("finished"), None);
    }
    assert_eq!(get(&operations, &job.path("status")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_status_document_of_an_ended_operation_says_how_it_ended() {
    for (status, state, error) in [
        (200, "succeeded", None),
        (399, "succeeded", None),
        (400, "failed", Some(("400", "Bad Request"))),
        (503, "failed", Some(("503", "Service Unavailable"))),
        (599, "failed", Some(("599", "The handler reported an error"))),
    ] {
        let operations = operations();
        let location = Job::begin(&operations, Policy::new()).await.reply(reply(status, "")).await;
        let answer = get(&operations, &format!("{location}/status")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.names(), ["cache-control", "content-type"], "no Retry-After on what is final");
        let document = answer.json();
        assert_eq!(document["status"], state);
        assert_eq!(document["resourceLocation"], format!("{location}/result"));
        for moment in ["created", "finished", "expires"] {
            assert!(document[moment].as_str().unwrap().ends_with('Z'), "{moment}");
        }
        let expected = error.map(|(code, message)| serde_json::json!({ "code": code, "message": message }));
        assert_eq!(document.get("error").cloned(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_document_says_when_things_happened() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new().retention(100 * SECOND)).await;
    sleep(10 * SECOND).await;
    let location = job.reply(reply(200, "")).await;
    let document = get(&operations, &format!("{location}/status")).await.json();
    let moment = |name: &str| {
        let text = document[name].as_str().unwrap().to_owned();
        humantime::parse_rfc3339(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let run_time = moment("finished").duration_since(moment("created")).unwrap();
    assert!(run_time >= 10 * SECOND && run_time <= 10 * SECOND + millis(2), "{run_time:?}");
    assert_eq!(moment("expires").duration_since(moment("finished")).unwrap(), 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_answered_as_soon_as_the_operation_ends() {
    let operations = operations();
    let Job { location, finish, .. } = Job::begin(&operations, Policy::new()).await;
    tokio::spawn(async move {
        sleep(3 * SECOND).await;
        finish.send(reply(200, "")).unwrap();
    });
    let (answer, taken) = wait(&operations, &location, "wait=10").await;
    assert_eq!((answer.status.as_u16(), taken), (303, 3 * SECOND));
    assert_eq!(answer.header("preference-applied"), "wait=10");
    let (answer, taken) = wait(&operations, &location, "wait=10").await;
    assert_eq!((answer.status.as_u16(), taken), (303, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_over_after_what_was_asked_for_or_the_longest_there_is() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new().longest_wait(20 * SECOND)).await;
    for (asked, seconds, applied) in
        [("wait=0", 0, "wait=0"), ("wait=5", 5, "wait=5"), ("wait=20", 20, "wait=20"), ("wait=99999", 20, "wait=20")]
    {
        let (answer, taken) = wait(&operations, &job.location, asked).await;
        assert_eq!((answer.status.as_u16(), taken.as_secs()), (202, seconds), "{asked}");
        assert_eq!(answer.header("preference-applied"), applied);
        answer.retry_after();
    }
}

#[tokio::test(start_paused = true)]
async fn progress_does_not_end_a_wait() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let reports = async {
        for step in 1..=4 {
            sleep(SECOND).await;
            job.handle.set_progress(f64::from(step) / 10.0);
        }
    };
    let ((answer, taken), ()) = tokio::join!(wait(&operations, &job.location, "wait=10"), reports);
    assert_eq!(taken, 10 * SECOND);
    assert_eq!(answer.json()["progress"]["fraction"], 0.4);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_not_honored_where_the_policy_says_so() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new().honor_wait(false)).await;
    let (answer, taken) = wait(&operations, &job.location, "wait=10").await;
    assert_eq!((answer.status.as_u16(), taken), (202, Duration::ZERO));
    assert!(!answer.headers.contains_key("preference-applied"));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_operation_that_is_canceled_or_forgotten_ends_with_it() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let cancel = async {
        sleep(SECOND).await;
        crate::support::delete(&operations, &job.location).await
    };
    let ((answer, taken), canceled) = tokio::join!(wait(&operations, &job.location, "wait=10"), cancel);
    assert_eq!((answer.status.as_u16(), taken, canceled.status.as_u16()), (303, SECOND, 204));
    let (answer, taken) = wait(&operations, UNKNOWN, "wait=10").await;
    answer.assert_problem(Kind::NotFound);
    assert_eq!(taken, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn unknown_expired_and_foreign_operations_are_the_same_404() {
    let operations = owned().build().unwrap();
    let policy = Policy::new().retention(10 * SECOND);
    let begin = async |user| Job::begin_with(&operations, policy.clone(), post(&[("x-user", user)])).await;
    let running = begin("ann").await.location;
    let ended = begin("ann").await.reply(reply(200, "")).await;
    let expired = begin("bob").await.reply(reply(200, "")).await;
    sleep(10 * SECOND).await;
    let ended_lately = begin("ann").await.reply(reply(200, "")).await;
    for path in [UNKNOWN, &running, &ended, &expired, &ended_lately, "/operations/42", "/elsewhere"] {
        for resource in ["", "/status", "/result", "/events"] {
            let path = format!("{path}{resource}");
            let answer = ask(&operations, Method::GET, &path, &[("x-user", "bob")]).await;
            answer.assert_problem(Kind::NotFound);
            assert_eq!(answer.names(), ["cache-control", "content-type"], "{path}");
            assert_eq!(answer.body, get(&operations, UNKNOWN).await.body, "nothing tells them apart");
        }
        let answer = ask(&operations, Method::DELETE, path, &[("x-user", "bob")]).await;
        answer.assert_problem(Kind::NotFound);
    }
    // Nobody is not everybody.
    get(&operations, &running).await.assert_problem(Kind::NotFound);
    assert_eq!(ask(&operations, Method::GET, &running, &[("x-user", "ann")]).await.status, 202);
    assert_eq!(ask(&operations, Method::GET, &ended_lately, &[("x-user", "ann")]).await.status, 303);
}

#[tokio::test(start_paused = true)]
async fn an_operation_expires_when_its_retention_is_over_and_not_before() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new().retention(10 * SECOND)).await;
    sleep(1_000 * SECOND).await;
    assert_eq!(get(&operations, &job.location).await.status, 202, "it is counted from the end");
    let location = job.reply(reply(200, "")).await;
    sleep(10 * SECOND - millis(2)).await;
    assert_eq!(get(&operations, &location).await.status, 303);
    sleep(millis(2)).await;
    get(&operations, &location).await.assert_problem(Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn polls_are_told_to_come_more_rarely_while_nothing_is_known() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let mut last = 0;
    for passed in [0, 9, 90, 900] {
        sleep(passed * SECOND).await;
        let seconds = get(&operations, &job.location).await.retry_after();
        assert!(seconds > last, "{seconds} after {last}");
        last = seconds;
    }
}

#[tokio::test(start_paused = true)]
async fn polls_are_told_the_expected_remaining_time_once_it_is_known() {
    let at_once = Policy::new().budget(Duration::ZERO);
    // The policy is the layer's, or it is the request's own and its path is not listed.
    for (routes, own) in [(at_once.clone().into(), None), (Routes::default(), Some(at_once))] {
        let operations = operations();
        // Operations of one layer learn from each other.
        let layer = operations.layer(routes);
        let begin = async || {
            let service = service_fn(|_: Incoming| async {
                sleep(100 * SECOND).await;
                Ok::<_, Infallible>(reply(200, ""))
            });
            let mut request = post(&[]);
            if let Some(policy) = &own {
                request.extensions_mut().insert(policy.clone());
            }
            send(layer.layer(service), request).await.header("location").to_owned()
        };
        begin().await;
        sleep(101 * SECOND).await;
        let location = begin().await;
        sleep(60 * SECOND).await;
        let seconds = get(&operations, &location).await.retry_after();
        assert!((40..=50).contains(&seconds), "{seconds}");
    }
}
