//! Threads that race in earnest for the same operations: R2, R7, R9 and R12 hold whoever is first.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Response};
use tokio::{
    sync::{Barrier, watch},
    task::{JoinSet, yield_now},
};
use tower::{Layer, service_fn};
use tower_respond_async::{Operations, Policy};

use crate::support::{Answer, Incoming, Job, ask, owned, post, reply, send};

const ANN: [(&str, &str); 1] = [("x-user", "ann")];
const ROUNDS: usize = 100;

/// Waits until what is about to be so is so.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// One of a hundred who want something of the same operation. Returns the terminal states that it has seen.
async fn want(operations: Operations, location: String, number: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for turn in 0..3 {
        let answer: Answer = match (number + turn) % 4 {
            0 => ask(&operations, Method::DELETE, &location, &ANN).await,
            1 => ask(&operations, Method::GET, &location, &ANN).await,
            _ => ask(&operations, Method::GET, &format!("{location}/status"), &ANN).await,
        };
        match answer.status.as_u16() {
            200 => seen
                .extend(Some(answer.json()["status"].as_str().unwrap().to_owned()).filter(|state| state != "running")),
            202 | 204 | 303 | 404 => {}
            status => panic!("{status}"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn r9_a_hundred_who_finish_cancel_and_forget_see_one_end_and_leave_nothing() {
    let operations = owned().max_operations(1).max_operations_per_owner(1).max_kept_operations(1).build().unwrap();
    let mut ends = BTreeSet::new();
    for round in 0..ROUNDS {
        let job = Job::begin_with(&operations, Policy::new(), post(&ANN)).await;
        let barrier = Arc::new(Barrier::new(101));
        let mut all = JoinSet::new();
        for number in 0..100 {
            let wanted = want(operations.clone(), job.location.clone(), number + round);
            let barrier = Arc::clone(&barrier);
            all.spawn(async move {
                barrier.wait().await;
                wanted.await
            });
        }
        let Job { location, finish, .. } = job;
        barrier.wait().await;
        let _too_late = finish.send(reply(200, "done"));
        let seen: BTreeSet<_> = all.join_all().await.into_iter().flatten().collect();
        assert!(seen.len() <= 1, "{seen:?}");
        ends.extend(seen);
        until(|| operations.in_flight() == 0).await;
        // Canceled once and forgotten once, it is gone; it may be that only one of both has come to pass.
        while ask(&operations, Method::DELETE, &location, &ANN).await.status == 204 {}
        let listed = ask(&operations, Method::GET, "/operations", &ANN).await;
        assert_eq!(listed.json()["operations"], serde_json::json!([]));
    }
    assert!(!ends.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn r2_the_first_poll_finds_the_operation_however_soon_it_ends() {
    let operations = owned().build().unwrap();
    let mut all = JoinSet::new();
    for number in 0..2_000_usize {
        let operations = operations.clone();
        all.spawn(async move {
            let service = service_fn(|_: Incoming| async move {
                for _ in 0..number % 3 {
                    yield_now().await;
                }
                Ok::<_, Infallible>(Response::new("done".to_owned()))
            });
            let layer = operations.layer(Policy::new().budget(Duration::ZERO));
            let answer = send(layer.layer(service), post(&ANN)).await;
            if answer.status == 202 {
                let location = answer.header("location");
                let polled = ask(&operations, Method::GET, location, &ANN).await.status;
                assert!(polled == 202 || polled == 303, "{polled}");
                let wait = [ANN[0], ("prefer", "wait=60")];
                assert_eq!(ask(&operations, Method::GET, location, &wait).await.status, 303);
            }
        });
    }
    all.join_all().await;
    until(|| operations.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn r7_no_more_run_at_once_than_may_however_many_come() {
    let operations = owned().max_operations(5).max_operations_per_owner(3).build().unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut all = JoinSet::new();
    for number in 0..1_000 {
        let (operations, running, most) = (operations.clone(), Arc::clone(&running), Arc::clone(&most));
        all.spawn(async move {
            let layer = operations.layer(Policy::new().budget(Duration::ZERO).handle(true));
            let service = service_fn(|request: Incoming| {
                let handle: tower_respond_async::OperationHandle = request.extensions().get().cloned().unwrap();
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                async move {
                    yield_now().await;
                    if handle.is_detached() {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        yield_now().await;
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                    Ok::<_, Infallible>(Response::new(String::new()))
                }
            });
            let user = if number % 2 == 0 { "ann" } else { "bob" };
            send(layer.layer(service), post(&[("x-user", user)])).await;
            assert!(operations.in_flight() <= 5);
        });
    }
    all.join_all().await;
    until(|| operations.in_flight() == 0).await;
    let most = most.load(Ordering::SeqCst);
    assert!((1..=5).contains(&most), "{most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn r12_whoever_comes_while_a_drain_begins_is_interrupted_or_stays_in_line() {
    for _ in 0..ROUNDS {
        let operations = owned().build().unwrap();
        let (over, _) = watch::channel(false);
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let (operations, mut over) = (operations.clone(), over.subscribe());
            all.spawn(async move {
                let service = service_fn(|_: Incoming| {
                    let mut over = over.clone();
                    async move { over.wait_for(|over| *over).await.map(|_| Response::new(String::new())) }
                });
                let layer = operations.layer(Policy::new().budget(Duration::ZERO));
                let answer = send(layer.layer(service), post(&ANN)).await;
                let _over = over.wait_for(|over| *over).await;
                answer
            });
        }
        yield_now().await;
        let drained = operations.drain(Duration::ZERO).await;
        assert_eq!((operations.in_flight(), drained.blocked), (0, 0));
        over.send_replace(true);
        let accepted: Vec<_> = all.join_all().await.into_iter().filter(|answer| answer.status == 202).collect();
        for answer in &accepted {
            let status = ask(&operations, Method::GET, answer.header("operation-location"), &ANN).await;
            assert_eq!(status.json()["error"]["code"], "interrupted");
        }
        assert_eq!(accepted.len(), drained.interrupted);
    }
}

/// Begins an operation whose handler blocks its thread until it is released. Returns where it is.
async fn begin_blocking(operations: &Operations) -> (String, std::sync::mpsc::Sender<()>) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut released = Some(released);
    let blocks = Arc::new(AtomicBool::new(false));
    let service = service_fn(|_: Incoming| {
        let (released, blocks) = (released.take().unwrap(), Arc::clone(&blocks));
        async move {
            yield_now().await;
            blocks.store(true, Ordering::SeqCst);
            released.recv().unwrap();
            Ok::<_, Infallible>(Response::new("too late".to_owned()))
        }
    });
    let layer = operations.layer(Policy::new().budget(Duration::ZERO));
    let accepted = send(layer.layer(service), post(&ANN)).await;
    until(|| blocks.load(Ordering::SeqCst)).await;
    (accepted.header("location").to_owned(), release)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_a_handler_that_blocks_its_thread_is_counted_and_its_operation_ended_all_the_same() {
    let operations = owned().build().unwrap();
    let (location, release) = begin_blocking(&operations).await;
    let drained = operations.drain(Duration::ZERO).await;
    assert_eq!((drained.finished, drained.interrupted, drained.blocked), (0, 1, 1));
    let status = async || {
        let answer = ask(&operations, Method::GET, &format!("{location}/status"), &ANN).await;
        answer.json()["error"]["code"].as_str().map(str::to_owned)
    };
    assert_eq!(status().await.as_deref(), Some("interrupted"));
    release.send(()).unwrap();
    until(|| operations.in_flight() == 0).await;
    assert_eq!(status().await.as_deref(), Some("interrupted"), "the end came first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_who_cancels_is_not_told_at_a_shutdown_that_what_blocks_has_stopped() {
    let operations = owned().build().unwrap();
    let (location, release) = begin_blocking(&operations).await;
    let canceling = tokio::spawn({
        let (operations, location) = (operations.clone(), location.clone());
        async move { ask(&operations, Method::DELETE, &location, &ANN).await }
    });
    while ask(&operations, Method::GET, &location, &ANN).await.status == 202 {
        yield_now().await;
    }
    operations.drain(Duration::ZERO).await;
    assert_eq!(canceling.await.unwrap().status, 202);
    release.send(()).unwrap();
}
