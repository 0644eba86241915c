//! `DELETE`: cancels what runs, forgets what has ended; and R9, that finishing and canceling race to one end.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Response;
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_respond_async::{OperationHandle, Policy, problem::Kind};

use crate::support::{Incoming, Job, SECOND, delete, get, operations, post, reply, send, state};

#[tokio::test(start_paused = true)]
async fn a_running_operation_is_canceled_and_the_very_next_poll_shows_it() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let answer = delete(&operations, &job.location).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert!(job.finish.is_closed(), "its future has been dropped by then");
    assert_eq!(operations.in_flight(), 0);
    assert_eq!(state(&operations, &job.location).await, "canceled");
    assert_eq!(get(&operations, &job.location).await.status, 303);
    let result = get(&operations, &format!("{}/result", job.location)).await;
    result.assert_problem(Kind::Canceled);
    assert_eq!(result.names(), ["cache-control", "content-type"], "no Retry-After on what is final");
    let document = get(&operations, &format!("{}/status", job.location)).await.json();
    assert_eq!(document["error"]["code"], "canceled");
}

#[tokio::test(start_paused = true)]
async fn an_ended_operation_is_forgotten() {
    let operations = operations();
    let location = Job::begin(&operations, Policy::new()).await.reply(reply(200, "")).await;
    assert_eq!(delete(&operations, &location).await.status, 204);
    get(&operations, &location).await.assert_problem(Kind::NotFound);
    delete(&operations, &location).await.assert_problem(Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_canceled_operation_is_forgotten_by_the_second_delete() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    assert_eq!(delete(&operations, &job.location).await.status, 204);
    assert_eq!(delete(&operations, &job.location).await.status, 204);
    delete(&operations, &job.location).await.assert_problem(Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_is_canceled_expires_as_all_else_does() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new().retention(10 * SECOND)).await;
    assert_eq!(delete(&operations, &job.location).await.status, 204);
    sleep(9 * SECOND).await;
    assert_eq!(get(&operations, &job.location).await.status, 303);
    sleep(SECOND).await;
    get(&operations, &job.location).await.assert_problem(Kind::NotFound);
}

/// Where the operation of a handler will be.
type Place = Arc<OnceLock<String>>;

/// Remembers where its operation is, and has `work` done in a poll after it was detached.
struct Racing<W> {
    detached: bool,
    work: W,
}

impl<W: FnMut(&mut Context<'_>) -> Poll<()> + Unpin> Future for Racing<W> {
    type Output = Result<Response<String>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.detached, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        (self.work)(context).map(|()| Ok(Response::new("finished".to_owned())))
    }
}

/// Begins an operation whose handler does some work, knowing where it is, and then has an answer.
async fn race<W>(operations: &tower_respond_async::Operations, work: impl Fn(Place) -> W) -> String
where
    W: FnMut(&mut Context<'_>) -> Poll<()> + Unpin + Send + 'static,
{
    let place = Place::default();
    let service = service_fn(|request: Incoming| {
        let handle: &OperationHandle = request.extensions().get().unwrap();
        place.set(format!("/operations/{}", handle.id())).unwrap();
        Racing { detached: false, work: work(Arc::clone(&place)) }
    });
    let policy = Policy::new().handle(true).budget(Duration::ZERO);
    send(operations.layer(policy).layer(service), post(&[])).await.header("location").to_owned()
}

#[tokio::test(start_paused = true)]
async fn r9_who_cancels_first_wins_though_the_handler_finishes_in_the_same_poll() {
    let operations = operations();
    let monitor = operations.clone();
    let location = race(&operations, |place| {
        let monitor = monitor.clone();
        move |_: &mut Context<'_>| {
            // Canceled while it is polled: nothing can stop it from having an answer.
            let mut canceling = pin!(delete(&monitor, place.get().unwrap()));
            let waker = std::task::Waker::noop();
            assert!(canceling.as_mut().poll(&mut Context::from_waker(waker)).is_pending(), "it still runs");
            Poll::Ready(())
        }
    })
    .await;
    sleep(SECOND).await;
    assert_eq!(state(&operations, &location).await, "canceled");
    get(&operations, &format!("{location}/result")).await.assert_problem(Kind::Canceled);
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r9_who_finishes_first_wins() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    job.finish.send(reply(200, "finished")).unwrap();
    tokio::task::yield_now().await;
    // Too late to cancel: this forgets.
    assert_eq!(delete(&operations, &job.location).await.status, 204);
    get(&operations, &job.location).await.assert_problem(Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn r9_of_many_who_cancel_one_does_and_one_forgets() {
    let operations = operations();
    let job = Job::begin(&operations, Policy::new()).await;
    let deletes = (0..10).map(|_| {
        tokio::spawn({
            let (operations, location) = (operations.clone(), job.location.clone());
            async move { delete(&operations, &location).await.status.as_u16() }
        })
    });
    let mut statuses = Vec::new();
    for delete in deletes.collect::<Vec<_>>() {
        statuses.push(delete.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 204, 404, 404, 404, 404, 404, 404, 404, 404]);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_by_cancellation_is_dropped_once_and_before_the_answer() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let operations = operations();
    let dropped = Arc::new(AtomicUsize::new(0));
    let location = race(&operations, |_| {
        let counted = Counted(Arc::clone(&dropped));
        move |_: &mut Context<'_>| {
            let _held = &counted;
            Poll::Pending
        }
    })
    .await;
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    assert_eq!(delete(&operations, &location).await.status, 204);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}
