//! What every client sees: from its 202 to the reply, and to its end.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tower_respond_async::Completion;

use crate::{
    client::{Exchange, Received},
    engines::on_every_store,
    stage::{Replica, Stage, eventually, impatient},
    work::binary,
};

on_every_store! {
    a_reply_waits_whole_at_its_location
    a_reply_is_given_in_parts_and_only_when_it_is_new
    a_long_poll_is_answered_when_the_operation_ends
    a_reply_is_not_read_for_those_who_waited_where_it_came
    who_waits_at_a_replica_that_shuts_down_is_told_the_end
    events_come_as_they_happen_and_are_resumed
    the_status_document_says_how_it_is
    what_is_deleted_stops_and_is_forgotten
    others_find_nothing
    the_list_comes_in_pages
}

#[track_caller]
fn assert_problem(answer: &Received, status: u16, name: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.json()["type"].as_str().unwrap().to_owned();
    assert!(kind.ends_with(&format!("#{name}")), "{kind}");
}

#[track_caller]
fn assert_whole(reply: &Received) {
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, binary().as_ref()), "{reply:?}");
    assert_eq!(reply.headers.get_all("x-many").iter().collect::<Vec<_>>(), ["one", "two"]);
}

async fn a_reply_waits_whole_at_its_location(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let accepted = replica.post("/jobs", &[], "").await;
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.json()["status"], "running");
    let location = accepted.location();
    assert_eq!(accepted.header("operation-location"), format!("{location}/status"));
    let pending = replica.get(location).await;
    assert_eq!((pending.status.as_u16(), pending.location()), (202, location));
    assert!(pending.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_problem(&replica.get(&format!("{location}/result")).await, 404, "operation-pending");
    stage.work.go(1);
    let ended = eventually(async || {
        let answer = replica.get(location).await;
        if answer.status == 303 { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert_eq!(ended.location(), format!("{location}/result"));
    for _again in 0..2 {
        let reply = replica.ask(Method::GET, ended.location(), &[("te", "trailers")]).await;
        assert_whole(&reply);
        assert_eq!(reply.trailers.expect("trailers")["x-end"], "whole");
        assert_eq!(reply.headers.get("retry-after"), None);
    }
}

async fn a_reply_is_given_in_parts_and_only_when_it_is_new(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let location = replica.detached("/jobs").await;
    stage.work.go_all();
    let result = format!("{location}/result");
    let reply = replica.result(&location).await;
    let tag = reply.header("etag");
    assert!(tag.len() > 2, "{tag:?}");
    let head = replica.ask(Method::HEAD, &result, &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len(), head.header("etag")), (200, 0, tag));
    assert_eq!(replica.ask(Method::GET, &result, &[("if-none-match", tag)]).await.status, 304);
    let part = replica.ask(Method::GET, &result, &[("range", "bytes=10-12")]).await;
    assert_eq!((part.status.as_u16(), part.body.as_ref()), (206, &[10, 11, 12][..]));
    assert_eq!(part.header("content-range"), "bytes 10-12/256");
    assert_eq!(replica.ask(Method::GET, &result, &[("range", "bytes=256-")]).await.status, 416);
}

async fn a_long_poll_is_answered_when_the_operation_ends(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let location = replica.detached("/jobs").await;
    let in_vain = replica.ask(Method::GET, &location, &[("prefer", "wait=0")]).await;
    assert_eq!(in_vain.status, 202);
    let mut poll = replica.begin(Method::GET, &location, &[("prefer", "wait=60")], b"").await;
    poll.silent().await;
    stage.work.go(1);
    let answer = poll.response().await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (303, "wait=60"));
}

async fn a_reply_is_not_read_for_those_who_waited_where_it_came(stage: &Stage) {
    if !stage.is_shared() {
        return;
    }
    let replica = stage.replica(impatient().completion(Completion::Replay)).await;
    // Whoever waits looks now and then all the same, but not each time just between these two.
    eventually(async || {
        let location = replica.detached("/jobs").await;
        let mut poll = replica.begin(Method::GET, &location, &[("prefer", "wait=60")], b"").await;
        poll.silent().await;
        let reads = replica.tap.reads();
        stage.work.go(1);
        assert_whole(&poll.response().await);
        if replica.tap.reads() == reads { Ok(()) } else { Err("it was read") }
    })
    .await;
}

async fn who_waits_at_a_replica_that_shuts_down_is_told_the_end(stage: &Stage) {
    for goes_on in [true, false] {
        let replica = stage.replica(impatient()).await;
        let location = replica.detached("/jobs").await;
        let mut poll = replica.begin(Method::GET, &location, &[("prefer", "wait=60")], b"").await;
        poll.silent().await;
        let grace = Duration::from_secs(if goes_on { 60 } else { 0 });
        let (drained, answer) = tokio::join!(replica.operations.drain(grace), async {
            if goes_on {
                stage.work.go(1);
            }
            poll.response().await
        });
        assert_eq!((drained.finished, drained.interrupted), (usize::from(goes_on), usize::from(!goes_on)));
        assert_eq!(answer.status, 303, "{answer:?}");
    }
}

async fn events(replica: &Replica, location: &str, last: &str) -> Exchange {
    let headers = [("accept", "text/event-stream"), ("last-event-id", last)];
    let mut reading = replica.begin(Method::GET, location, &headers, b"").await;
    assert_eq!(reading.head().await.headers["content-type"], "text/event-stream");
    reading
}

async fn next(reading: &mut Exchange) -> (String, String, Value) {
    let event = reading.piece().await.unwrap().expect("another event");
    let mut lines = str::from_utf8(&event).unwrap().lines();
    let mut field = |name: &str| lines.next().unwrap().strip_prefix(name).unwrap().to_owned();
    (field("event: "), field("id: "), serde_json::from_str(&field("data: ")).unwrap())
}

async fn events_come_as_they_happen_and_are_resumed(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let location = replica.detached("/progress").await;
    let mut reading = events(&replica, &location, "").await;
    assert_eq!(next(&mut reading).await.0, "running");
    let (name, id, document) = next(&mut reading).await;
    assert_eq!((name.as_str(), &document["progress"]["fraction"]), ("progress", &0.25.into()));
    drop(reading);
    let mut resumed = events(&replica, &location, &id).await;
    stage.work.go(1);
    let (name, _, document) = next(&mut resumed).await;
    assert_eq!((name.as_str(), &document["progress"]["fraction"]), ("progress", &0.5.into()));
    stage.work.go_all();
    let (name, id) = loop {
        let (name, id, _) = next(&mut resumed).await;
        if name != "progress" {
            break (name, id);
        }
    };
    assert_eq!((name.as_str(), id.as_str()), ("succeeded", "end"));
    assert_eq!(resumed.piece().await.unwrap(), None);
    let seen = [("accept", "text/event-stream"), ("last-event-id", "end")];
    assert_eq!(replica.ask(Method::GET, &location, &seen).await.status, 204);
}

async fn the_status_document_says_how_it_is(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let location = replica.detached("/refused").await;
    let running = replica.status(&location).await;
    assert_eq!(running["status"], "running");
    assert!(location.ends_with(running["id"].as_str().unwrap()));
    assert_eq!(running.get("attempts"), None);
    stage.work.go(1);
    let ended = replica.becomes(&location, "failed").await;
    assert_eq!(ended["created"], running["created"]);
    assert_eq!((&ended["error"]["code"], &ended["error"]["message"]), (&"409".into(), &"Conflict".into()));
    assert!(ended["finished"].as_str().unwrap() < ended["expires"].as_str().unwrap());
    assert_eq!(replica.get(ended["resourceLocation"].as_str().unwrap()).await.status, 409);
}

async fn what_is_deleted_stops_and_is_forgotten(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let location = replica.detached("/jobs").await;
    stage.work.running(1).await;
    assert_eq!(replica.delete(&location).await.status, 204);
    stage.work.running(0).await;
    assert_eq!(replica.status(&location).await["status"], "canceled");
    assert_problem(&replica.get(&format!("{location}/result")).await, 410, "canceled");
    assert_eq!(replica.delete(&location).await.status, 204);
    for path in ["", "/status", "/result", "/events"] {
        assert_problem(&replica.get(&format!("{location}{path}")).await, 404, "not-found");
    }
    assert_eq!(replica.delete(&location).await.status, 404);
    assert_eq!(replica.operations.in_flight(), 0);
}

async fn others_find_nothing(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let location = replica.detached_with("/jobs", &[("x-user", "ann")], "").await;
    for other in [&[("x-user", "bob")][..], &[]] {
        for path in ["", "/status", "/result", "/events"] {
            let answer = replica.ask(Method::GET, &format!("{location}{path}"), other).await;
            assert_problem(&answer, 404, "not-found");
        }
        assert_eq!(replica.ask(Method::DELETE, &location, other).await.status, 404);
    }
    assert_eq!(replica.ask(Method::GET, &location, &[("x-user", "ann")]).await.status, 202);
}

async fn the_list_comes_in_pages(stage: &Stage) {
    let replica = stage.replica(impatient()).await;
    let mut expected = Vec::new();
    for _each in 0..5 {
        expected.insert(0, replica.detached_with("/jobs", &[("x-user", "ann")], "").await);
    }
    replica.detached_with("/jobs", &[("x-user", "bob")], "").await;
    let (mut found, mut next) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = replica.ask(Method::GET, &format!("/operations{next}"), &[("x-user", "ann")]).await.json();
        let operations = page["operations"].as_array().unwrap();
        assert!(operations.len() <= 2);
        found.extend(operations.iter().map(|operation| operation["location"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(more) => next = more.to_owned(),
            None => break,
        }
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(replica.get("/operations").await.status, 404);
    let none = replica.ask(Method::GET, "/operations?state=failed", &[("x-user", "ann")]).await.json();
    assert_eq!(none["operations"], Value::Array(Vec::new()));
}
