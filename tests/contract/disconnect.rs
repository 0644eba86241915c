//! R4: a client that hangs up within the budget cancels the handler, as without the layer, unless the policy says
//! detach.

use std::{convert::Infallible, sync::Arc};

use http::{Method, Response};
use tokio::time::sleep;
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{OnDisconnect, Operations, Policy, ResponseBody};

use crate::support::{Incoming, SECOND, ask, assert_at_rest, operations, owned, post, result};

/// A request of Ann's in line, and what is alive as long as its handler is, which takes a minute.
fn in_line(
    operations: &Operations,
    on_disconnect: OnDisconnect,
) -> (impl Future<Output = Result<Response<ResponseBody<String>>, Infallible>> + Send, Arc<()>) {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let service = service_fn(move |_: Incoming| {
        let held = Arc::clone(&held);
        async move {
            sleep(60 * SECOND).await;
            drop(held);
            Ok::<_, Infallible>(Response::new("done".to_owned()))
        }
    });
    let policy = Policy::new().budget(10 * SECOND).on_disconnect(on_disconnect);
    (operations.layer(policy).layer(service).oneshot(post(&[("x-user", "ann")])), alive)
}

async fn listed(operations: &Operations) -> Vec<String> {
    let answer = ask(operations, Method::GET, "/operations", &[("x-user", "ann")]).await;
    let document = answer.json();
    let operations = document["operations"].as_array().unwrap().iter();
    operations.map(|operation| operation["location"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn r4_who_hangs_up_cancels() {
    let operations = owned().build().unwrap();
    let (response, alive) = in_line(&operations, OnDisconnect::Cancel);
    let mut response = task::spawn(response);
    assert_pending!(response.poll());
    sleep(SECOND).await;
    assert_eq!(Arc::strong_count(&alive), 2, "the handler goes on");
    drop(response);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(listed(&operations).await.is_empty());
    assert_at_rest(&operations).await;
}

#[tokio::test(start_paused = true)]
async fn r4_unless_the_policy_says_detach() {
    let operations = owned().build().unwrap();
    let (response, alive) = in_line(&operations, OnDisconnect::Detach);
    let mut response = task::spawn(response);
    assert_pending!(response.poll());
    sleep(SECOND).await;
    drop(response);
    assert_eq!(operations.in_flight(), 1);
    let listed = listed(&operations).await;
    assert_eq!(listed.len(), 1);
    sleep(60 * SECOND).await;
    assert_eq!(Arc::strong_count(&alive), 1);
    let answer = ask(&operations, Method::GET, &format!("{}/result", listed[0]), &[("x-user", "ann")]).await;
    assert_eq!(answer.body, "done");
}

#[tokio::test(start_paused = true)]
async fn r4_what_cannot_be_detached_is_canceled() {
    let operations = owned().max_operations(1).build().unwrap();
    let (first, _first) = in_line(&operations, OnDisconnect::Detach);
    let (second, alive) = in_line(&operations, OnDisconnect::Detach);
    let (mut first, mut second) = (task::spawn(first), task::spawn(second));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(first);
    drop(second);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!((operations.in_flight(), listed(&operations).await.len()), (1, 1));
}

#[test]
fn r4_where_there_is_no_runtime_left_it_is_canceled() {
    let operations = operations();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (response, alive) = in_line(&operations, OnDisconnect::Detach);
    let mut response = task::spawn(response);
    runtime.block_on(async { assert_pending!(response.poll()) });
    drop(runtime);
    drop(response);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_after_the_202_changes_nothing() {
    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(SECOND).await;
        Ok::<_, Infallible>(Response::new("done".to_owned()))
    });
    let policy = Policy::new().budget(SECOND / 2);
    let accepted = operations.layer(policy).layer(service).oneshot(post(&[])).await.unwrap();
    let location = accepted.headers()["location"].to_str().unwrap().to_owned();
    drop(accepted);
    assert_eq!(result(&operations, &location).await.body, "done");
}
