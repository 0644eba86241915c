//! R4: what becomes of a request whose client hangs up, at each stage of it.

use axum::body::Body;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tower_respond_async::{OnDisconnect, Policy};

use crate::{
    client::{Exchange, Framing, Http1, Http2, fetch, get, post, request, result_of},
    server::{ALL, Front, HTTP1, HTTP2, Server, impatient, patient},
    stage::{Stage, until},
};

/// Reads the body, waits to be told to go on, and replies.
async fn work(stage: Stage, request: Request<Body>) -> Response<Body> {
    let _presence = stage.enter();
    let Ok(body) = request.into_body().collect().await else { return Response::new("half a body".into()) };
    stage.has_read();
    stage.wait().await;
    stage.has_finished();
    Response::new(Body::from(body.to_bytes()))
}

async fn serve<Fut>(front: Front, policy: Policy, handler: fn(Stage, Request<Body>) -> Fut) -> (Server, Stage)
where
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let stage = Stage::new();
    let handlers = stage.clone();
    (Server::start(front, policy, move |request| handler(handlers.clone(), request)).await, stage)
}

/// A connection whose stream was reset serves the next one.
async fn still_serves(connection: Option<Http2>) {
    if let Some(mut connection) = connection {
        let nobody = "/operations/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";
        let received = connection.fetch(request(Method::GET, nobody).body(()).unwrap()).await;
        assert_eq!(received.status, 404);
    }
}

async fn is_idle(server: &Server) {
    until("nothing is in flight", || server.operations.in_flight() == 0).await;
}

/// HTTP/2 drops the handler. HTTP/1 only breaks its body off, as hyper does not take a lost upload for a lost client.
#[tokio::test]
async fn r4_during_an_upload_that_the_handler_reads() {
    for (front, framing) in ALL {
        for policy in [patient(), impatient(), impatient().on_disconnect(OnDisconnect::Detach)] {
            let (server, stage) = serve(front, policy, |stage, mut request: Request<Body>| async move {
                let _presence = stage.enter();
                while let Some(frame) = request.body_mut().frame().await {
                    if frame.is_err() {
                        return Response::new("broken off".into());
                    }
                    stage.has_read();
                }
                panic!("half a body passed for a whole one");
            })
            .await;
            let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 1_000).await;
            upload.send(b"a part").await;
            stage.read().await;
            let connection = upload.hang_up();
            stage.gone().await;
            assert_eq!(server.operations.in_flight(), 0);
            still_serves(connection).await;
        }
    }
}

#[tokio::test]
async fn r4_during_an_upload_that_the_layer_reads() {
    for (front, framing) in ALL {
        for on_disconnect in [OnDisconnect::Cancel, OnDisconnect::Detach] {
            let policy = impatient().on_disconnect(on_disconnect);
            let (server, stage) = serve(front, policy, |stage, request| async move {
                let _presence = stage.enter();
                stage.wait().await;
                assert!(request.into_body().collect().await.is_err(), "half a body passed for a whole one");
                Response::new(Body::empty())
            })
            .await;
            let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 1_000).await;
            upload.send(b"a part").await;
            stage.started().await;
            upload.silent().await;
            let connection = upload.hang_up();
            if framing != Framing::Http2 {
                stage.go();
            }
            stage.gone().await;
            assert_eq!(server.operations.in_flight(), 0);
            still_serves(connection).await;
        }
    }
}

#[tokio::test]
async fn r4_within_the_budget_the_handler_is_dropped() {
    for (front, framing) in ALL {
        let (server, stage) = serve(front, patient(), work).await;
        let mut waiting = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 4).await;
        waiting.send(b"work").await;
        waiting.end(None).await;
        stage.read().await;
        let connection = waiting.hang_up();
        stage.gone().await;
        assert_eq!(server.operations.in_flight(), 0);
        still_serves(connection).await;
    }
}

/// Past its budget, but in line because no operation may run.
#[tokio::test]
async fn r4_a_request_that_was_declined_is_dropped() {
    for (front, framing) in ALL {
        let (server, stage) = serve(front, impatient(), work).await;
        server.operations.drain(std::time::Duration::ZERO).await;
        let mut waiting = Exchange::ask(server.address, framing, post("/work").body(()).unwrap()).await;
        stage.read().await;
        waiting.silent().await;
        let connection = waiting.hang_up();
        stage.gone().await;
        still_serves(connection).await;
    }
}

#[tokio::test]
async fn r4_within_the_budget_the_request_goes_on_if_its_policy_says_so() {
    for (front, framing) in ALL {
        let (server, stage) = serve(front, patient().on_disconnect(OnDisconnect::Detach), work).await;
        let mut waiting = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 4).await;
        waiting.send(b"work").await;
        waiting.end(None).await;
        stage.read().await;
        let connection = waiting.hang_up();
        until("it is detached", || server.operations.in_flight() == 1).await;
        stage.go();
        stage.finished().await;
        is_idle(&server).await;
        still_serves(connection).await;
    }
}

/// A body of known length is whole when its last byte is read, though nobody has asked whether more comes.
#[tokio::test]
async fn r3_a_body_read_to_its_last_byte_is_whole() {
    for front in HTTP1 {
        let policy = patient().on_disconnect(OnDisconnect::Detach);
        let (server, stage) = serve(front, policy, |stage, mut request: Request<Body>| async move {
            let _presence = stage.enter();
            let mut read = 0;
            while read < 4 {
                read += request.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().len();
            }
            stage.has_read();
            stage.wait().await;
            assert!(request.body_mut().frame().await.is_none());
            stage.has_finished();
            Response::new(Body::empty())
        })
        .await;
        let mut waiting = Exchange::begin(server.address, Framing::Length, post("/work").body(()).unwrap(), 4).await;
        waiting.send(b"work").await;
        stage.read().await;
        drop(waiting);
        until("it is detached", || server.operations.in_flight() == 1).await;
        stage.go();
        stage.finished().await;
        is_idle(&server).await;
    }
}

#[tokio::test]
async fn r4_after_the_202_the_operation_goes_on() {
    for (front, framing) in ALL {
        let (server, stage) = serve(front, impatient(), work).await;
        let mut upload = Exchange::begin(server.address, framing, post("/work").body(()).unwrap(), 4).await;
        upload.send(b"work").await;
        upload.end(None).await;
        let accepted = upload.response().await;
        assert_eq!(accepted.status, 202);
        let connection = upload.hang_up();
        still_serves(connection).await;
        assert_eq!(get(server.address, framing, accepted.location()).await.status, 202);
        stage.go();
        assert_eq!(result_of(server.address, framing, accepted.location()).await.text(), "work");
        is_idle(&server).await;
    }
}

/// A client that says at once that it sends nothing more has hung up, as far as hyper can tell, and without the layer,
/// too.
#[tokio::test]
async fn r4_half_a_connection_is_no_connection() {
    for front in HTTP1 {
        let (server, stage) = serve(front, patient(), work).await;
        let mut connection = Http1::connect(server.address).await;
        connection.write("POST /work HTTP/1.1\r\nhost: test\r\n\r\n").await;
        stage.read().await;
        connection.close_half().await;
        stage.gone().await;
        connection.closed().await;
    }
}

/// Closing the whole connection drops every stream of it.
#[tokio::test]
async fn r4_a_lost_connection_of_http2_drops_all_its_requests() {
    for front in HTTP2 {
        let (server, stage) = serve(front, patient(), work).await;
        let mut connection = Http2::connect(server.address).await;
        let mut waiting = Vec::new();
        for _ in 0..20 {
            waiting.push(connection.begin(post("/work").body(()).unwrap(), true).await);
            stage.read().await;
        }
        drop(connection);
        for _ in 0..20 {
            stage.gone().await;
        }
    }
}

/// An operation that runs, and how many tasks there are without any connection.
async fn running(front: Front, framing: Framing) -> (Server, Stage, String, usize) {
    let (server, stage) = serve(front, impatient(), work).await;
    let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
    stage.started().await;
    let of_server = if front == Front::Axum { 2 } else { 1 };
    // The operation, and the sweeper. The task that counts the budget rests soon.
    let without_connections = of_server + 2;
    until("the connection is gone", || tasks() == without_connections).await;
    (server, stage, accepted.location().to_owned(), without_connections)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn r4_while_polling_long() {
    for (front, framing) in ALL {
        let (server, stage, location, tasks_before) = running(front, framing).await;
        let poll = request(Method::GET, &location).header("prefer", "wait=60").body(()).unwrap();
        let mut polling = Exchange::ask(server.address, framing, poll).await;
        polling.silent().await;
        drop(polling.hang_up());
        until("its connection is gone", || tasks() == tasks_before).await;
        assert_eq!(server.operations.in_flight(), 1);
        stage.go();
        assert_eq!(result_of(server.address, framing, &location).await.status, 200);
        is_idle(&server).await;
    }
}

#[tokio::test]
async fn r4_while_reading_events() {
    for (front, framing) in ALL {
        let (server, stage, location, tasks_before) = running(front, framing).await;
        let events = request(Method::GET, &format!("{location}/events")).body(()).unwrap();
        let mut reading = Exchange::ask(server.address, framing, events).await;
        assert_eq!(reading.head().await.status, 200);
        assert!(reading.piece().await.unwrap().unwrap().starts_with(b"event: running\n"));
        drop(reading.hang_up());
        until("its connection is gone", || tasks() == tasks_before).await;
        assert_eq!(server.operations.in_flight(), 1);
        stage.go();
        assert_eq!(result_of(server.address, framing, &location).await.status, 200);
        is_idle(&server).await;
    }
}

#[tokio::test]
async fn r4_while_reading_a_large_reply() {
    const LENGTH: usize = 7 * 1024 * 1024;
    for (front, framing) in ALL {
        let (server, stage) = serve(front, impatient(), |stage, _| async move {
            stage.wait().await;
            Response::new(Body::from(vec![b'x'; LENGTH]))
        })
        .await;
        let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
        stage.go();
        let result = format!("{}/result", accepted.location());
        assert_eq!(result_of(server.address, framing, accepted.location()).await.body.len(), LENGTH);
        let mut reading = Exchange::ask(server.address, framing, request(Method::GET, &result).body(()).unwrap()).await;
        assert_eq!(reading.head().await.status, 200);
        assert!(reading.piece().await.unwrap().is_some());
        still_serves(reading.hang_up()).await;
        assert_eq!(get(server.address, framing, &result).await.body.len(), LENGTH);
        is_idle(&server).await;
    }
}

/// A `DELETE` whose sender does not wait for its answer has canceled all the same.
#[tokio::test]
async fn r9_after_a_delete_was_sent() {
    for (front, framing) in ALL {
        let (server, stage, location, _) = running(front, framing).await;
        let delete = request(Method::DELETE, &location).body(()).unwrap();
        let deleting = Exchange::ask(server.address, framing, delete).await;
        stage.gone().await;
        drop(deleting.hang_up());
        is_idle(&server).await;
        let ended = get(server.address, framing, &format!("{location}/status")).await;
        assert_eq!(ended.json()["status"], "canceled");
    }
}
