//! The `202 Accepted`, to the letter.

use std::{convert::Infallible, time::Duration};

use http::Response;
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_respond_async::{OperationHandle, OperationId, Operations, Policy, Progress};

use crate::support::{Incoming, Job, SECOND, operations, post, reply, send};

async fn begin(operations: &Operations, headers: &[(&str, &str)]) -> Job {
    Job::begin_with(operations, Policy::new(), post(headers)).await
}

#[tokio::test(start_paused = true)]
async fn it_has_exactly_these_headers() {
    let Job { accepted, handle, .. } = begin(&operations(), &[]).await;
    let location = format!("/operations/{}", handle.id());
    assert_eq!(accepted.header("location"), location);
    assert_eq!(accepted.header("operation-location"), format!("{location}/status"));
    assert!((1..=2).contains(&accepted.retry_after()));
    assert_eq!(accepted.header("vary"), "prefer");
    assert_eq!(accepted.header("cache-control"), "no-store");
    assert_eq!(accepted.header("content-type"), "application/json");
    let mut names = ["cache-control", "content-type", "location", "operation-location", "retry-after", "vary"].to_vec();
    assert_eq!(accepted.names(), names);
    let Job { accepted, .. } = begin(&operations(), &[("prefer", "wait=0")]).await;
    names.insert(4, "preference-applied");
    assert_eq!(accepted.names(), names);
}

#[tokio::test(start_paused = true)]
async fn its_body_is_the_status_document() {
    let Job { accepted, handle, .. } = begin(&operations(), &[]).await;
    let document = accepted.json();
    assert_eq!(document["id"], handle.id().to_string());
    assert_eq!(document["status"], "running");
    assert!(document["created"].as_str().unwrap().ends_with('Z'));
    assert_eq!(document.as_object().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn its_body_shows_the_progress_made_in_line() {
    let service = service_fn(|request: Incoming| async move {
        let handle: &OperationHandle = request.extensions().get().unwrap();
        handle.set_progress(Progress::new(0.25).message("tile 1 of 4"));
        std::future::pending::<Result<Response<String>, Infallible>>().await
    });
    let policy = Policy::new().budget(SECOND).handle(true);
    let accepted = send(operations().layer(policy).layer(service), post(&[])).await;
    let expected = serde_json::json!({ "fraction": 0.25, "message": "tile 1 of 4" });
    assert_eq!(accepted.json()["progress"], expected);
}

#[tokio::test(start_paused = true)]
async fn its_location_starts_with_the_base_path_of_the_operations() {
    for (base, expected) in [("/operations", "/operations/"), ("/v1/jobs/", "/v1/jobs/"), ("/", "/")] {
        let operations = Operations::builder().base_path(base).build().unwrap();
        let Job { location, .. } = begin(&operations, &[]).await;
        let id = location.strip_prefix(expected).unwrap();
        assert!(id.parse::<OperationId>().is_ok(), "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn its_location_is_a_full_url_where_the_public_one_is_known() {
    let builder = Operations::builder().public_url("https://api.example.com/v1/");
    let Job { accepted, handle, .. } = begin(&builder.build().unwrap(), &[("host", "elsewhere.example")]).await;
    let location = format!("https://api.example.com/v1/operations/{}", handle.id());
    assert_eq!(accepted.header("location"), location);
    assert_eq!(accepted.header("operation-location"), format!("{location}/status"));
}

#[tokio::test(start_paused = true)]
async fn what_proxies_say_counts_only_where_it_is_trusted() {
    let forwarded = [("forwarded", "for=192.0.2.1;proto=https;host=api.example.com")];
    let x_forwarded =
        [("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example.com"), ("x-forwarded-prefix", "/v1")];
    let broken = [("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example.com/evil?")];
    for (trusted, headers, origin) in [
        (false, &forwarded[..], ""),
        (false, &x_forwarded, ""),
        (true, &[], ""),
        (true, &forwarded, "https://api.example.com"),
        (true, &x_forwarded, "https://api.example.com/v1"),
        (true, &broken, ""),
    ] {
        let operations = Operations::builder().trust_forwarded(trusted).build().unwrap();
        let Job { location, handle, .. } = begin(&operations, headers).await;
        assert_eq!(location, format!("{origin}/operations/{}", handle.id()), "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_public_url_goes_before_what_proxies_say() {
    let builder = Operations::builder().public_url("http://a.example").trust_forwarded(true);
    let forwarded = [("forwarded", "proto=https;host=b.example")];
    let Job { location, .. } = begin(&builder.build().unwrap(), &forwarded).await;
    assert!(location.starts_with("http://a.example/operations/"), "{location}");
}

#[tokio::test(start_paused = true)]
async fn its_retry_after_is_learnt_from_the_routes_run_times() {
    let operations = operations();
    let layer = operations.layer(Policy::new().handle(true).budget(Duration::ZERO));
    let run = async |seconds: u32| {
        let service = service_fn(move |_: Incoming| async move {
            sleep(seconds * SECOND).await;
            Ok::<_, Infallible>(reply(200, ""))
        });
        let accepted = send(layer.layer(service), post(&[])).await;
        sleep((seconds + 1) * SECOND).await;
        accepted.retry_after()
    };
    assert!((1..=2).contains(&run(100).await), "nothing is known yet");
    let learnt = run(100).await;
    assert!((100..=125).contains(&learnt), "{learnt}");
    // Not a constant: clients that are told at once come back one after the other.
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(run(100).await);
    }
    assert!(answers.iter().any(|answer| *answer != answers[0]), "{answers:?}");
}
