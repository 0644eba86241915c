//! R13: whether a client that asks first may send its body is the handler's decision, and not the layer's.

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;

use crate::{
    client::{Framing, Http1, result_of},
    server::{Front, HTTP1, Server, impatient},
    stage::Stage,
};

const ASKING: &str = "POST /work HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";

async fn serve<Fut>(front: Front, handler: fn(Stage, Request<Body>) -> Fut) -> (Server, Stage)
where
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let stage = Stage::new();
    let handlers = stage.clone();
    (Server::start(front, impatient(), move |request| handler(handlers.clone(), request)).await, stage)
}

async fn heard(connection: &mut Http1) -> bool {
    tokio::time::timeout(std::time::Duration::from_millis(60), connection.hear()).await.is_ok()
}

#[tokio::test]
async fn r13_the_client_is_told_to_continue_when_the_handler_reads() {
    for front in HTTP1 {
        let (server, stage) = serve(front, |stage, request| async move {
            stage.enter();
            stage.wait().await;
            let body = request.into_body().collect().await.unwrap().to_bytes();
            stage.wait().await;
            Response::new(Body::from(body))
        })
        .await;
        let mut connection = Http1::connect(server.address).await;
        connection.write(ASKING).await;
        stage.started().await;
        // The budget is over, and the layer does not read.
        assert!(!heard(&mut connection).await, "{front:?}");
        stage.go();
        assert_eq!(connection.head().await.unwrap().status, 100);
        assert!(!heard(&mut connection).await, "{front:?}");
        connection.write("wo").await;
        assert!(!heard(&mut connection).await, "{front:?}");
        connection.write("rk").await;
        let accepted = connection.response().await;
        assert_eq!(accepted.status, 202);
        stage.go();
        assert_eq!(result_of(server.address, Framing::Length, accepted.location()).await.text(), "work");
    }
}

/// Once it is on its way, the layer reads what the handler does not.
#[tokio::test]
async fn r13_after_the_first_read_the_layer_may_read_the_rest() {
    for front in HTTP1 {
        let (server, stage) = serve(front, |stage, mut request| async move {
            let first = request.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            stage.wait().await;
            let rest = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(Body::from([first, rest].concat()))
        })
        .await;
        let mut connection = Http1::connect(server.address).await;
        connection.write(ASKING).await;
        assert_eq!(connection.head().await.unwrap().status, 100);
        connection.write("w").await;
        assert!(!heard(&mut connection).await, "{front:?}");
        connection.write("ork").await;
        let accepted = connection.response().await;
        assert_eq!(accepted.status, 202);
        stage.go();
        assert_eq!(result_of(server.address, Framing::Length, accepted.location()).await.text(), "work");
    }
}

#[tokio::test]
async fn r13_a_refusal_comes_without_100_continue() {
    for front in HTTP1 {
        let (server, stage) = serve(front, |stage, request| async move {
            stage.wait().await;
            drop(request);
            Response::builder().status(413).body(Body::empty()).unwrap()
        })
        .await;
        let mut connection = Http1::connect(server.address).await;
        connection.write(ASKING).await;
        assert!(!heard(&mut connection).await, "{front:?}");
        stage.go();
        assert_eq!(connection.response().await.status, 413);
        drop(server);
    }
}

/// A body that the handler does not want need not come, and the request may be detached without it.
#[tokio::test]
async fn r13_a_body_that_is_not_wanted_is_not_asked_for() {
    for front in HTTP1 {
        let (server, stage) = serve(front, |stage, request| async move {
            drop(request);
            stage.wait().await;
            Response::new(Body::from("done"))
        })
        .await;
        let mut connection = Http1::connect(server.address).await;
        connection.write(ASKING).await;
        let accepted = connection.response().await;
        assert_eq!(accepted.status, 202, "{front:?}");
        stage.go();
        assert_eq!(result_of(server.address, Framing::Length, accepted.location()).await.text(), "done");
    }
}
