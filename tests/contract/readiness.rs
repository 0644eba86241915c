//! R8: `poll_ready` belongs to the service: forwarded, and the ready instance is the one called.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::sleep;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer, service_fn,
};
use tower_respond_async::{Operations, Policy, RequestBody};
use tower_test::mock;

use crate::support::{Incoming, SECOND, operations, post, result, send, settle};

type Sent = Request<RequestBody<String>>;

/// Refuses to be called unless this very instance has been ready since the last call.
#[derive(Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Sent> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Sent) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test(start_paused = true)]
async fn r8_the_ready_instance_is_the_one_called() {
    let mut service = operations().layer(Policy::new()).layer(Strict::default());
    for headers in [&[][..], &[("prefer", "respond-async")], &[("upgrade", "websocket")]] {
        let response = service.ready().await.unwrap().call(post(headers)).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let mut clone = service.clone();
    assert_eq!(clone.ready().await.unwrap().call(post(&[])).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "called without being ready")]
async fn r8_a_clone_is_as_little_ready_as_the_service_inside() {
    let mut service = operations().layer(Policy::new()).layer(Strict::default());
    service.ready().await.unwrap();
    drop(service.clone().call(post(&[])));
}

#[tokio::test(start_paused = true)]
async fn r8_backpressure_comes_through() {
    let layer = operations().layer(Policy::new());
    let (mut service, mut inside) = mock::spawn_layer::<Sent, Response<String>, _>(layer);
    inside.allow(0);
    assert_pending!(service.poll_ready());
    inside.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let _response = service.call(post(&[]));
    assert_pending!(service.poll_ready());
    inside.send_error("gone");
    assert_eq!(assert_ready_err!(service.poll_ready()).to_string(), "gone");
}

/// Is answered after ten seconds.
fn slow() -> impl Service<Incoming, Response = Response<String>, Error = Infallible, Future: Send> + Clone + Send {
    service_fn(|_: Incoming| async {
        sleep(10 * SECOND).await;
        Ok(Response::new("done".to_owned()))
    })
}

fn at_once(operations: &Operations) -> tower_respond_async::RespondAsyncLayer {
    operations.layer(Policy::new().budget(Duration::ZERO))
}

#[tokio::test(start_paused = true)]
async fn r8_a_concurrency_limit_inside_holds_for_what_is_detached() {
    let operations = operations();
    let inside = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(slow());
    let mut service = at_once(&operations).layer(inside);
    let accepted = service.ready().await.unwrap().call(post(&[])).await.unwrap();
    assert_eq!(accepted.status(), 202);
    let mut second = task::spawn(async { service.ready().await.map(drop) });
    assert_pending!(second.poll());
    sleep(9 * SECOND).await;
    assert_pending!(second.poll());
    sleep(2 * SECOND).await;
    assert!(second.is_woken());
    assert_ready_ok!(second.poll());
    settle().await;
    assert_eq!(operations.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn r8_a_buffer_works_inside_and_outside() {
    let operations = operations();
    let inside = ServiceBuilder::new().layer(BufferLayer::<Incoming>::new(4)).service(slow());
    let accepted = send(at_once(&operations).layer(inside), post(&[])).await;
    assert_eq!(result(&operations, accepted.header("location")).await.body, "done");
    let service =
        ServiceBuilder::new().layer(BufferLayer::<Request<String>>::new(4)).layer(at_once(&operations)).service(slow());
    let accepted = send(service.map_err(|error: BoxError| error), post(&[])).await;
    assert_eq!(result(&operations, accepted.header("location")).await.body, "done");
}
