//! The places where axum lets one put the layer and the monitor.

use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    routing::{get, post},
};
use http::Method;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, timeout::TimeoutLayer, trace::TraceLayer,
};
use tower_respond_async::{Operations, Policy, Routes};

use crate::{
    client::{Exchange, Framing, Received, fetch, get as read, post as submit, request, result_of},
    server::{Server, impatient},
    stage::Stage,
};

const FRAMINGS: [Framing; 2] = [Framing::Length, Framing::Http2];

fn operations() -> Operations {
    Operations::builder().build().unwrap()
}

/// A handler that replies with what it was given, when told to.
fn slow(
    stage: &Stage,
) -> impl Fn(Bytes) -> std::pin::Pin<Box<dyn Future<Output = Bytes> + Send>> + Clone + Send + Sync + use<> {
    let stage = stage.clone();
    move |body: Bytes| {
        let stage = stage.clone();
        Box::pin(async move {
            stage.wait().await;
            body
        })
    }
}

async fn work(server: &Server, framing: Framing, path: &str) -> Received {
    fetch(server.address, framing, submit(path).body(()).unwrap()).await
}

/// Sees that requests of this path are detached, and that their replies are found.
async fn follows(server: &Server, stage: &Stage, framing: Framing, path: &str, base: &str) {
    let accepted = work(server, framing, path).await;
    assert_eq!(accepted.status, 202, "{path}");
    assert!(accepted.location().starts_with(&format!("{base}/")), "{}", accepted.location());
    assert_eq!(accepted.header("operation-location"), format!("{}/status", accepted.location()));
    assert_eq!(read(server.address, framing, accepted.header("operation-location")).await.status, 200);
    stage.go();
    assert_eq!(result_of(server.address, framing, accepted.location()).await.status, 200);
}

#[tokio::test]
async fn around_a_router_and_around_one_route() {
    for framing in FRAMINGS {
        let (operations, stage) = (operations(), Stage::new());
        let router = Router::new()
            .route("/router", post(slow(&stage)))
            .layer(operations.layer(impatient()))
            .route("/method", post(slow(&stage)).layer(operations.layer(impatient())))
            .route("/beside", post(|| async { tokio::time::sleep(Duration::from_millis(60)).await }))
            .merge(Router::new().route("/route", post(slow(&stage))).route_layer(operations.layer(impatient())))
            .nest_service("/operations", operations.monitor());
        let server = Server::serve_router(router, operations).await;
        for path in ["/router", "/method", "/route"] {
            follows(&server, &stage, framing, path, "/operations").await;
        }
        assert_eq!(work(&server, framing, "/beside").await.status, 200);
        assert_eq!(work(&server, framing, "/nowhere").await.status, 404);
        let wrong_method = fetch(server.address, framing, request(Method::PUT, "/route").body(()).unwrap()).await;
        assert_eq!(wrong_method.status, 405);
    }
}

#[tokio::test]
async fn the_monitor_as_a_route_a_nested_service_or_the_rest() {
    for framing in FRAMINGS {
        for mount in ["routes", "nested", "nested deeper", "fallback", "merged"] {
            let operations = match mount {
                "nested deeper" => Operations::builder().base_path("/api/v1/operations/").build().unwrap(),
                _ => operations(),
            };
            let stage = Stage::new();
            let work = Router::new().route("/work/{id}", post(slow(&stage))).layer(operations.layer(impatient()));
            let monitor = operations.monitor();
            let router = match mount {
                "routes" => {
                    work.route_service("/operations", monitor.clone()).route_service("/operations/{*rest}", monitor)
                }
                "nested" => work.nest_service("/operations", monitor),
                "nested deeper" => Router::new().nest("/api/v1", work.nest_service("/operations", monitor)),
                "fallback" => work.fallback_service(monitor),
                _ => work.merge(Router::new().nest_service("/operations", monitor)),
            };
            let server = Server::serve_router(router, operations).await;
            let (path, base) = match mount {
                "nested deeper" => ("/api/v1/work/1", "/api/v1/operations"),
                _ => ("/work/1", "/operations"),
            };
            follows(&server, &stage, framing, path, base).await;
            for unknown in ["", "/", "/none", "/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa/none"] {
                let received = read(server.address, framing, &format!("{base}{unknown}")).await;
                assert_eq!(received.status, 404, "{mount} {unknown}");
            }
        }
    }
}

/// Extractors see what they see without the layer.
#[tokio::test]
async fn extractors_work_after_the_request_is_detached() {
    for framing in FRAMINGS {
        let (operations, stage) = (operations(), Stage::new());
        let handler = stage.clone();
        let path = async move |Path(name): Path<String>, body: Bytes| {
            handler.wait().await;
            format!("{name} {}", body.len())
        };
        let router = Router::new()
            .route("/work/{name}", post(path))
            .layer(operations.layer(impatient()))
            .nest_service("/operations", operations.monitor());
        let server = Server::serve_router(router, operations).await;
        let accepted = work(&server, framing, "/work/caf%C3%A9").await;
        stage.go();
        assert_eq!(result_of(server.address, framing, accepted.location()).await.text(), "café 0");
    }
}

/// The table of routes sees the path that the layer sees.
#[tokio::test]
async fn a_table_of_routes_around_a_whole_router() {
    for framing in FRAMINGS {
        let (operations, stage) = (operations(), Stage::new());
        let routes = Routes::builder()
            .route("/slow/{id}", impatient())
            .route("/patient/{*rest}", Policy::new().without_budget())
            .build()
            .unwrap();
        let router = Router::new()
            .route("/slow/{id}", post(slow(&stage)))
            .route("/patient/a/b", post(slow(&stage)))
            .route("/other", post(slow(&stage)))
            .layer(operations.layer(routes))
            .nest_service("/operations", operations.monitor());
        let server = Server::serve_router(router, operations).await;
        follows(&server, &stage, framing, "/slow/1", "/operations").await;
        stage.go_all();
        assert_eq!(work(&server, framing, "/patient/a/b").await.status, 200);
        assert_eq!(work(&server, framing, "/other").await.status, 200);
    }
}

/// Other layers outside and inside. A timeout outside ends what is in line and not what is detached (R14); a reply that
/// was compressed inside is kept as it is.
#[tokio::test]
async fn r14_among_other_layers() {
    for framing in FRAMINGS {
        let (operations, stage) = (operations(), Stage::new());
        let outside = ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(TimeoutLayer::with_status_code(http::StatusCode::REQUEST_TIMEOUT, Duration::from_millis(200)))
            .layer(CatchPanicLayer::new())
            .layer(operations.layer(impatient()))
            .layer(CompressionLayer::new());
        let router = Router::new()
            .route("/work", post(slow(&stage)))
            .route("/stuck", get(std::future::pending::<()>))
            .layer(outside)
            .nest_service("/operations", operations.monitor());
        let server = Server::serve_router(router, operations).await;
        let compressed = submit("/work").header("accept-encoding", "gzip").body(()).unwrap();
        let mut upload = Exchange::begin(server.address, framing, compressed, 2_000).await;
        upload.send(&[b'x'; 2_000]).await;
        upload.end(None).await;
        let accepted = upload.response().await;
        assert_eq!(accepted.status, 202);
        // Past the timeout, which holds for this one.
        assert_eq!(read(server.address, framing, "/stuck").await.status, 408);
        stage.go();
        let result = result_of(server.address, framing, accepted.location()).await;
        assert_eq!((result.status.as_u16(), result.header("content-encoding")), (200, "gzip"));
        assert_eq!(result.body[..2], [0x1f, 0x8b]);
    }
}
