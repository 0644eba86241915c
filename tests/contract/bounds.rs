//! What the layer asks of the services it wraps, and what it gives: mostly that this compiles.

use std::{
    cell::Cell,
    convert::Infallible,
    marker::PhantomPinned,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::post as axum_post};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::service::TowerToHyperService;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_respond_async::{Monitor, MonitorFuture, Operations, Policy, RequestBody, RespondAsyncLayer, Routes};

use crate::support::{Incoming, SECOND, operations, post, request, result, send};

fn at_once(operations: &Operations) -> RespondAsyncLayer {
    operations.layer(Policy::new().budget(Duration::ZERO))
}

/// A body that is neither `Unpin` nor `Sync`.
#[derive(Default)]
struct Awkward {
    sent: Cell<bool>,
    _pinned: PhantomPinned,
}

impl Body for Awkward {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let first = !self.sent.replace(true);
        Poll::Ready(first.then(|| Ok(Frame::data(Bytes::from_static(b"done")))))
    }
}

/// An error that is no `Error`, no `Debug` and no `Clone`.
struct Mute(Cell<u8>);

/// A service that cannot be cloned, whose futures are neither `Unpin` nor `Sync`.
struct Unique;

impl Service<Request<RequestBody<Awkward>>> for Unique {
    type Response = Response<Awkward>;
    type Error = Mute;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Awkward>, Mute>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Mute>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Awkward>>) -> Self::Future {
        Box::pin(async move {
            let awkward = Awkward::default();
            sleep(SECOND).await;
            match request.uri().path() {
                "/fails" => Err(Mute(Cell::new(7))),
                _ => Ok(Response::new(awkward)),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn futures_bodies_and_errors_need_be_nothing_but_send() {
    let operations = operations();
    let explained = |error: Mute| Response::builder().status(507).body(error.0.get().to_string().into()).unwrap();
    let layer = at_once(&operations).map_service_error(explained);
    for (path, status, body) in [("/", 200, "done"), ("/fails", 507, "7")] {
        let request = Request::post(path).body(Awkward::default()).unwrap();
        // Without `send`, which wants the error to be `Debug`.
        let Ok(mut accepted) = layer.layer(Unique).oneshot(request).await.map(|response| response.map(drop)) else {
            panic!("answered in line")
        };
        let location = accepted.headers_mut().remove("location").unwrap();
        let result = result(&operations, location.to_str().unwrap()).await;
        assert_eq!((result.status.as_u16(), &*result.body), (status, body.as_bytes()));
    }
}

#[test]
fn what_is_given_out_can_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn can_be_sent<T: Send + 'static>(_: &T) {}

    let operations = operations();
    let layer = at_once(&operations);
    anywhere(&operations);
    anywhere(&layer);
    anywhere(&operations.monitor());
    anywhere(&Routes::from(Policy::new()));
    let mut service =
        layer.layer(service_fn(|_: Incoming| async { Ok::<_, Infallible>(Response::new(Awkward::default())) }));
    anywhere(&service);
    can_be_sent(&service.call(post(&[])));
    let mut monitor: Monitor = operations.monitor();
    let future: MonitorFuture = monitor.call(post(&[]));
    can_be_sent(&future);
    fn unpin<T: Unpin>(_: &T) {}
    unpin(&future);
}

async fn slow() -> &'static str {
    sleep(SECOND).await;
    "done"
}

/// Posts to a router whose `/jobs` is wrapped in one way or another.
async fn assert_detaches(operations: &Operations, app: Router) {
    let response = app.oneshot(post(&[])).await.unwrap();
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap();
    assert_eq!(result(operations, location).await.body, "done");
}

#[tokio::test(start_paused = true)]
async fn axum_routers_and_routes_can_be_wrapped() {
    let operations = operations();
    let layer = at_once(&operations);
    let router = || Router::new().route("/jobs", axum_post(slow));
    assert_detaches(&operations, router().layer(layer.clone())).await;
    assert_detaches(&operations, router().route_layer(layer.clone())).await;
    assert_detaches(&operations, Router::new().route("/jobs", axum_post(slow).layer(layer.clone()))).await;
    assert_detaches(&operations, Router::new().route("/jobs", axum_post(slow).route_layer(layer.clone()))).await;
    let around = ServiceBuilder::new().layer(layer).service(router());
    let response = around.oneshot(post(&[])).await.unwrap();
    assert_eq!(response.status(), 202);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_insists_on_a_body_of_its_own_is_given_one() {
    type Own = UnsyncBoxBody<Bytes, Infallible>;
    let strict = service_fn(|request: Request<Own>| async {
        let body = request.into_body().collect().await?.to_bytes();
        sleep(SECOND).await;
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    let operations = operations();
    let service = ServiceBuilder::new()
        .layer(at_once(&operations))
        .layer(MapRequestBodyLayer::new(|body: RequestBody<String>| body.boxed_unsync()))
        .service(strict);
    let accepted = send(service, post(&[]).map(|_| "text".to_owned())).await;
    assert_eq!(result(&operations, accepted.header("location")).await.body, "text");
}

#[tokio::test(start_paused = true)]
async fn hyper_can_serve_it() {
    use hyper::service::Service as _;

    let operations = operations();
    let service = service_fn(|_: Incoming| async {
        sleep(SECOND).await;
        Ok::<_, Infallible>(Response::new("done".to_owned()))
    });
    let service = TowerToHyperService::new(at_once(&operations).layer(service));
    let accepted = service.call(post(&[])).await.unwrap();
    let location = accepted.headers()["location"].to_str().unwrap();
    let monitor = TowerToHyperService::new(operations.monitor());
    let polled = monitor.call(request(http::Method::GET, location, &[])).await.unwrap();
    assert_eq!(polled.status(), 202);
}
