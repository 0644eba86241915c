//! Two replicas before one store: whichever is asked, the answer is the same.

use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use crate::{
    engines::on_every_shared_store,
    stage::{LEASE, Stage, eventually, impatient},
    work::binary,
};

on_every_shared_store! {
    any_replica_knows_an_operation
    any_replica_tells_of_its_end
    any_replica_tells_of_progress
    what_another_replica_is_told_to_cancel_stops
    what_a_dead_replica_ran_is_lost
}

async fn any_replica_knows_an_operation(stage: &Stage) {
    let (one, other) = stage.replicas(impatient()).await;
    let location = one.detached_with("/jobs", &[("x-user", "ann")], "").await;
    let ann = &[("x-user", "ann")];
    for replica in [&one, &other] {
        assert_eq!(replica.ask(Method::GET, &location, ann).await.status, 202);
        assert_eq!(replica.ask(Method::GET, &format!("{location}/result"), ann).await.status, 404);
        let status = replica.ask(Method::GET, &format!("{location}/status"), ann).await.json();
        assert_eq!(status["status"], "running");
        let list = replica.ask(Method::GET, "/operations", ann).await.json();
        assert_eq!(list["operations"][0]["location"], location);
        assert_eq!(replica.get(&location).await.status, 404, "it is not everybody's");
    }
    assert_eq!((one.operations.in_flight(), other.operations.in_flight()), (1, 0));
}

async fn any_replica_tells_of_its_end(stage: &Stage) {
    let (one, other) = stage.replicas(impatient()).await;
    let location = one.detached("/jobs").await;
    let mut poll = other.begin(Method::GET, &location, &[("prefer", "wait=60")], b"").await;
    let mut events = other.begin(Method::GET, &format!("{location}/events"), &[], b"").await;
    let head = events.head().await;
    assert!(events.piece().await.unwrap().unwrap().starts_with(b"event: running\n"));
    poll.silent().await;
    stage.work.go(1);
    assert_eq!(poll.response().await.status, 303);
    let rest = events.rest(head).await.unwrap();
    assert!(rest.text().starts_with("event: succeeded\nid: end\n"), "{}", rest.text());
    for replica in [&other, &one] {
        assert_eq!(replica.result(&location).await.body, binary());
    }
    assert_eq!(other.delete(&location).await.status, 204);
    assert_eq!(one.get(&location).await.status, 404);
}

async fn any_replica_tells_of_progress(stage: &Stage) {
    let (one, other) = stage.replicas(impatient()).await;
    let location = one.detached("/progress").await;
    let mut events = other.begin(Method::GET, &format!("{location}/events"), &[("last-event-id", "1")], b"").await;
    events.head().await;
    for fraction in ["0.25", "0.5", "0.75"] {
        let event = events.piece().await.unwrap().unwrap();
        let event = str::from_utf8(&event).unwrap();
        assert!(
            event.starts_with("event: progress\n") && event.contains(&format!("\"fraction\":{fraction}")),
            "{event}"
        );
        let status = other.status(&location).await;
        assert_eq!(status["progress"]["fraction"].to_string(), fraction);
        assert_eq!(one.status(&location).await["progress"], status["progress"]);
        stage.work.go(1);
    }
    assert!(events.piece().await.unwrap().unwrap().starts_with(b"event: succeeded\n"));
}

async fn what_another_replica_is_told_to_cancel_stops(stage: &Stage) {
    let (one, other) = stage.replicas(impatient()).await;
    let location = one.detached("/jobs").await;
    stage.work.running(1).await;
    let canceled = Instant::now();
    assert_eq!(other.delete(&location).await.status, 202);
    for replica in [&other, &one] {
        assert_eq!(replica.status(&location).await["status"], "canceled");
    }
    stage.work.running(0).await;
    let beat = LEASE / 3;
    let heard = if stage.place.announces() { beat / 2 } else { beat + Duration::from_secs(2) };
    assert!(canceled.elapsed() < heard.max(Duration::from_secs(1)), "{:?}", canceled.elapsed());
    eventually(async || match one.operations.in_flight() {
        0 => Ok(()),
        running => Err(running),
    })
    .await;
    assert_eq!(one.delete(&location).await.status, 204);
    assert_eq!(other.get(&location).await.status, 404);
}

async fn what_a_dead_replica_ran_is_lost(stage: &Stage) {
    let (one, other) = stage.replicas(impatient()).await;
    let location = one.detached("/jobs").await;
    one.die();
    let document = other.becomes(&location, "failed").await;
    assert_eq!(document["error"]["code"], "lost");
    // What it would have said comes too late.
    stage.work.go(1);
    stage.work.running(0).await;
    assert_eq!(other.status(&location).await, document);
    assert_eq!(other.result(&location).await.status, 500);
}
