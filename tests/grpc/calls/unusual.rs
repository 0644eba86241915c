//! Replies that no tonic server sends: from what stands in front of a service, of a proxy, of other codecs.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, error_handling::HandleError, routing::any};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tower::{Layer, ServiceExt, service_fn};
use tower_respond_async::{
    Operations, Policy,
    longrunning::messages::{Operation, operation_metadata::State},
};

use super::{
    stage::{Call, RENDER, Stage, builder, error, metadata},
    studio::{Order, Studio, methods},
};

const MESSAGE: &[u8] = b"\0\0\0\0\x03\x0a\x01\x07";

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    encoding: Option<&'static str>,
    body: Bytes,
    ends_well: bool,
}

impl Answer {
    /// Of a proxy, or of whatever else speaks HTTP alone. (Clients of tonic's take any body for messages.)
    fn over_http(status: StatusCode) -> Self {
        Self { status, encoding: None, body: Bytes::new(), ends_well: false }
    }

    fn ok(body: &[u8], encoding: Option<&'static str>) -> Self {
        Self { status: StatusCode::OK, encoding, body: Bytes::copy_from_slice(body), ends_well: true }
    }

    fn response(&self) -> Response<Body> {
        let trailers = HeaderMap::from_iter([(tonic::Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
        let ends_well = self.ends_well;
        let body = Full::new(self.body.clone()).with_trailers(async move { ends_well.then_some(Ok(trailers)) });
        let mut response = Response::builder().status(self.status);
        if let Some(encoding) = self.encoding {
            response = response.header("grpc-encoding", encoding);
        }
        response.body(Body::new(body)).unwrap()
    }
}

/// A method that always answers so, once the gate lets it.
fn app(operations: &Operations, policy: Policy, answer: Answer, gate: &Arc<Semaphore>) -> Router {
    let gate = Arc::clone(gate);
    let method = any(async move || {
        gate.acquire().await.unwrap().forget();
        answer.response()
    });
    Router::new().route(RENDER, method).layer(operations.layer(policy).grpc(&methods()))
}

async fn stage(policy: Policy, answer: Answer, gate: &Arc<Semaphore>) -> Stage {
    let operations = builder().build().unwrap();
    let app = app(&operations, policy, answer, gate)
        .merge(tonic::service::Routes::new(operations.longrunning()).into_axum_router());
    Stage::serve(app, operations, Studio::new(None)).await
}

fn open() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(100))
}

fn patient() -> Policy {
    Policy::new().budget(Duration::from_secs(60)).grace(Duration::from_secs(60))
}

fn keyed() -> Call {
    Order::QUICK.with("idempotency-key", "\"k\"")
}

fn preferred(call: impl Into<Call>) -> Call {
    call.into().with("prefer", "respond-async")
}

/// As the gRPC project maps them.
const MEANINGS: [(u16, Code); 9] = [
    (400, Code::Internal),
    (401, Code::Unauthenticated),
    (403, Code::PermissionDenied),
    (404, Code::Unimplemented),
    (429, Code::Unavailable),
    (500, Code::Unknown),
    (502, Code::Unavailable),
    (503, Code::Unavailable),
    (504, Code::Unavailable),
];

#[tokio::test]
async fn a_failure_over_http_means_what_it_means_without_the_layer() {
    for (status, code) in MEANINGS {
        let answer = Answer::over_http(StatusCode::from_u16(status).unwrap());
        let stage = stage(patient(), answer, &open()).await;
        let calls = [Order::QUICK.into(), preferred(Order::QUICK), keyed(), keyed(), preferred(keyed())];
        for call in calls {
            let failure = stage.render(call.clone()).await.unwrap_err();
            assert_eq!(failure.code(), code, "{status} {call:?}: {failure:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_over_http_means_the_same_to_an_operation() {
    for (status, code) in MEANINGS {
        let gate = Arc::new(Semaphore::new(0));
        let answer = Answer::over_http(StatusCode::from_u16(status).unwrap());
        let stage = stage(Policy::new().grace(Duration::ZERO), answer, &gate).await;
        let operation = stage.begin(Order::QUICK).await.unwrap();
        gate.add_permits(1);
        let ended = stage.wait(&operation.name).await;
        assert_eq!(Code::from(error(&ended).code), code, "{status}");
        assert_eq!(metadata(&ended).state(), State::Failed);
    }
}

/// A service that fails, as one does that sheds load, with a status that says how.
#[tokio::test]
async fn what_stands_in_for_a_failed_service_says_how_the_call_ended() {
    let gate = Arc::new(Semaphore::new(0));
    let operations = builder().build().unwrap();
    let waits = Arc::clone(&gate);
    let failing = service_fn(move |_: Request<_>| {
        let gate = Arc::clone(&waits);
        async move {
            gate.acquire().await.unwrap().forget();
            Err::<Response<Body>, _>(Status::resource_exhausted("too much to paint"))
        }
    });
    let layer = operations.layer(Policy::new().grace(Duration::ZERO)).grpc(&methods());
    let failing = layer.layer(failing).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR);
    let app = Router::new()
        .route_service(RENDER, HandleError::new(failing, async |status: StatusCode| status))
        .merge(tonic::service::Routes::new(operations.longrunning()).into_axum_router());
    let stage = Stage::serve(app, operations, Studio::new(None)).await;
    let operation = stage.begin(Order::QUICK).await.unwrap();
    gate.add_permits(1);
    let ended = stage.wait(&operation.name).await;
    assert_eq!(metadata(&ended).state(), State::Failed);
    let error = error(&ended);
    assert_eq!((Code::from(error.code), &*error.message), (Code::ResourceExhausted, "too much to paint"));
}

#[tokio::test]
async fn a_reply_that_is_not_one_message_is_no_success() {
    let two = [MESSAGE, MESSAGE].concat();
    for body in [&b""[..], &two, &MESSAGE[..6], b"\x01\0\0\0\x01x"] {
        let answer = Answer::ok(body, None);
        let in_line = stage(patient(), answer.clone(), &open()).await;
        let failure = in_line.call::<Operation>(RENDER, preferred(Order::QUICK)).await.unwrap_err();
        assert_eq!(failure.code(), Code::Internal, "{body:?}: {failure:?}");

        let gate = Arc::new(Semaphore::new(0));
        let stage = stage(Policy::new().grace(Duration::ZERO), answer, &gate).await;
        let operation = stage.begin(Order::QUICK).await.unwrap();
        gate.add_permits(1);
        let ended = stage.wait(&operation.name).await;
        assert_eq!(error(&ended).code, Code::Internal as i32);
        assert_eq!(metadata(&ended).state(), State::Failed);
    }
}

/// A call over a wire that no client of tonic's reads.
async fn raw(app: &Router, fields: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::post(RENDER).header("content-type", "application/grpc");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::from(MESSAGE)).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_failure_over_http_is_replayed_with_its_body() {
    let answer = Answer { body: Bytes::from_static(b"<p>Not now"), ..Answer::over_http(StatusCode::BAD_GATEWAY) };
    let app = app(&builder().build().unwrap(), patient(), answer, &open());
    for fields in [&[("prefer", "respond-async")][..], &[("idempotency-key", "\"k\"")], &[("idempotency-key", "\"k\"")]]
    {
        let reply = raw(&app, fields).await;
        assert_eq!(reply.status(), StatusCode::BAD_GATEWAY, "{fields:?}");
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "<p>Not now");
    }
}

#[tokio::test]
async fn a_kept_reply_in_an_encoding_unknown_to_the_layer_is_replayed_as_it_is() {
    let body = b"\x01\0\0\0\x04ssss";
    for encoding in ["snappy", "identity"] {
        let body = if encoding == "identity" { MESSAGE } else { body };
        let operations = builder().build().unwrap();
        let app = app(&operations, patient(), Answer::ok(body, Some(encoding)), &open());
        for _ in 0..2 {
            let fields = [("idempotency-key", "\"k\""), ("grpc-accept-encoding", encoding)];
            let reply = raw(&app, &fields).await;
            assert_eq!(reply.status(), StatusCode::OK);
            assert_eq!(reply.headers()["grpc-encoding"], encoding);
            let reply = reply.into_body().collect().await.unwrap();
            assert_eq!(reply.trailers().unwrap()["grpc-status"], "0");
            assert_eq!(reply.to_bytes(), body);
        }
    }
}
