//! The list of the caller's own operations.

use http::Method;
use serde_json::Value;
use tokio::time::sleep;
use tower_respond_async::{Operations, Policy, problem::Kind};

use crate::support::{Answer, Job, SECOND, ask, delete, get, millis, operations, owned, post, reply};

fn with_owners() -> Operations {
    owned().build().unwrap()
}

async fn begin(operations: &Operations, user: &str) -> Job {
    sleep(millis(1)).await;
    Job::begin_with(operations, Policy::new().retention(100 * SECOND), post(&[("x-user", user)])).await
}

async fn list(operations: &Operations, query: &str) -> Answer {
    ask(operations, Method::GET, &format!("/operations{query}"), &[("x-user", "ann")]).await
}

/// Where the listed operations are, and the query for the next page.
async fn page(operations: &Operations, query: &str) -> (Vec<String>, Option<String>) {
    let answer = list(operations, query).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let document = answer.json();
    let listed = document["operations"].as_array().unwrap();
    let locations = listed.iter().map(|operation| operation["location"].as_str().unwrap().to_owned());
    (locations.collect(), document.get("next").map(|next| next.as_str().unwrap().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn it_is_off_unless_owners_are_told_apart() {
    let operations = operations();
    Job::begin(&operations, Policy::new()).await;
    get(&operations, "/operations").await.assert_problem(Kind::NotFound);
    // Nor is there one for who is nobody.
    let operations = with_owners();
    Job::begin(&operations, Policy::new()).await;
    get(&operations, "/operations").await.assert_problem(Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn it_shows_the_callers_own_newest_first() {
    let operations = with_owners();
    assert_eq!(page(&operations, "").await, (vec![], None));
    let mut own = Vec::new();
    for _ in 0..5 {
        own.insert(0, begin(&operations, "ann").await.location);
        begin(&operations, "bob").await;
    }
    assert_eq!(page(&operations, "").await, (own, None));
}

#[tokio::test(start_paused = true)]
async fn each_is_shown_with_its_status_document() {
    let operations = with_owners();
    let location = begin(&operations, "ann").await.reply(reply(500, "")).await;
    let answer = list(&operations, "").await;
    assert_eq!(answer.names(), ["cache-control", "content-type"]);
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut shown = answer.json()["operations"][0].clone();
    assert_eq!(shown.as_object_mut().unwrap().remove("location"), Some(Value::from(&*location)));
    let status = ask(&operations, Method::GET, &format!("{location}/status"), &[("x-user", "ann")]).await;
    assert_eq!(shown, status.json());
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_though_new_operations_come() {
    let operations = with_owners();
    let mut own = Vec::new();
    for _ in 0..7 {
        own.insert(0, begin(&operations, "ann").await.location);
    }
    let (mut query, mut seen, mut pages) = (Some("?limit=3".to_owned()), Vec::new(), 0);
    while let Some(next) = query {
        let (shown, following) = page(&operations, &next).await;
        seen.extend(shown);
        (query, pages) = (following, pages + 1);
        begin(&operations, "ann").await;
    }
    assert_eq!((seen, pages), (own, 3));
    let (shown, next) = page(&operations, "?limit=10").await;
    assert_eq!((shown.len(), next), (10, None), "a full page need not have a next one");
}

#[tokio::test(start_paused = true)]
async fn operations_of_the_same_moment_are_paged_apart() {
    let operations = with_owners();
    for _ in 0..6 {
        Job::begin_with(&operations, Policy::new(), post(&[("x-user", "ann")])).await;
    }
    let (all, _) = page(&operations, "").await;
    let (first, next) = page(&operations, "?limit=4").await;
    let (rest, _) = page(&operations, &next.unwrap()).await;
    assert_eq!([first, rest].concat(), all);
}

#[tokio::test(start_paused = true)]
async fn it_is_filtered_by_state() {
    let operations = with_owners();
    let running = begin(&operations, "ann").await.location;
    let succeeded = begin(&operations, "ann").await.reply(reply(200, "")).await;
    let failed = begin(&operations, "ann").await.reply(reply(500, "")).await;
    let canceled = begin(&operations, "ann").await.location;
    let answer = ask(&operations, Method::DELETE, &canceled, &[("x-user", "ann")]).await;
    assert_eq!(answer.status, 204);
    for (state, expected) in [
        ("running", vec![running]),
        ("succeeded", vec![succeeded]),
        ("failed", vec![failed]),
        ("canceled", vec![canceled]),
        ("queued", vec![]),
    ] {
        assert_eq!(page(&operations, &format!("?state={state}")).await, (expected, None), "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_filter_goes_with_the_pages() {
    let operations = with_owners();
    let mut failed = Vec::new();
    for number in 0..9 {
        let location = begin(&operations, "ann").await.reply(reply(if number % 3 == 0 { 500 } else { 200 }, "")).await;
        if number % 3 == 0 {
            failed.insert(0, location);
        }
    }
    let (first, next) = page(&operations, "?state=failed&limit=2").await;
    let (rest, end) = page(&operations, &next.unwrap()).await;
    assert_eq!(([first, rest].concat(), end), (failed, None));
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_or_expired_is_not_listed() {
    let operations = with_owners();
    let forgotten = begin(&operations, "ann").await.reply(reply(200, "")).await;
    let expired = begin(&operations, "ann").await.reply(reply(200, "")).await;
    let kept = begin(&operations, "ann").await.location;
    assert_eq!(page(&operations, "").await.0, [kept.clone(), expired.clone(), forgotten.clone()].as_slice());
    assert_eq!(ask(&operations, Method::DELETE, &forgotten, &[("x-user", "ann")]).await.status, 204);
    assert_eq!(page(&operations, "").await.0, [kept.clone(), expired].as_slice());
    sleep(100 * SECOND).await;
    assert_eq!(page(&operations, "").await.0, [kept]);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_cannot_be_read_is_400_and_says_why() {
    let operations = with_owners();
    for (query, detail) in [
        ("?state=cancelled", "state: expected"),
        ("?state=", "state: expected"),
        ("?limit=0", "limit: expected"),
        ("?limit=201", "limit: expected"),
        ("?limit=x", "limit: expected"),
        ("?limit=", "limit: expected"),
        ("?limit=+5", "limit: expected"),
        ("?limit=99999999999999999999", "limit: expected"),
        ("?after=x", "after: expected"),
        ("?after=1.2", "after: expected"),
        ("?after=+1.0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa", "after: expected"),
        ("?sort=up", "unknown parameter \"sort\""),
    ] {
        let answer = list(&operations, query).await;
        answer.assert_problem(Kind::BadRequest);
        let said = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(said.starts_with(detail), "{query}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_cannot_be_deleted() {
    let answer = delete(&with_owners(), "/operations").await;
    answer.assert_problem(Kind::MethodNotAllowed);
    assert_eq!(answer.header("allow"), "GET, HEAD");
}
