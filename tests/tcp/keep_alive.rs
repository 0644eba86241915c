//! R3: what a connection of HTTP/1 is good for after a `202 Accepted`.

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;

use crate::{
    client::{Framing, Http1, result_of},
    server::{Front, HTTP1, Server, impatient, patient},
    stage::Stage,
};

/// Answers `/quick` at once, and everything else when told to.
async fn echo(stage: Stage, request: Request<Body>) -> Response<Body> {
    let quick = request.uri().path() == "/quick";
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if !quick {
        stage.wait().await;
    }
    Response::new(Body::from(body))
}

async fn serve(front: Front) -> (Server, Stage) {
    let stage = Stage::new();
    let handler = stage.clone();
    (Server::start(front, impatient(), move |request| echo(handler.clone(), request)).await, stage)
}

const SLOW: [&str; 2] = [
    "POST /slow HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nslow",
    "POST /slow HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nsl\r\n2\r\now\r\n0\r\n\r\n",
];
const QUICK: &str = "POST /quick HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nquick";

#[tokio::test]
async fn r3_the_connection_serves_the_next_request() {
    for front in HTTP1 {
        let (server, stage) = serve(front).await;
        let mut connection = Http1::connect(server.address).await;
        for slow in SLOW.into_iter().cycle().take(6) {
            connection.write(slow).await;
            let accepted = connection.response().await;
            assert_eq!(accepted.status, 202, "{front:?}");
            connection.write(QUICK).await;
            assert_eq!(connection.response().await.text(), "quick");
            stage.go();
            assert_eq!(result_of(server.address, Framing::Length, accepted.location()).await.text(), "slow");
        }
    }
}

#[tokio::test]
async fn r3_requests_sent_ahead_are_answered_in_order() {
    for front in HTTP1 {
        let (server, stage) = serve(front).await;
        let mut connection = Http1::connect(server.address).await;
        let ahead = [QUICK, SLOW[0], QUICK, SLOW[1], SLOW[0], QUICK];
        connection.write(ahead.concat()).await;
        let mut accepted = Vec::new();
        for sent in ahead {
            let received = connection.response().await;
            if sent == QUICK {
                assert_eq!((received.status.as_u16(), received.text()), (200, "quick"), "{front:?}");
            } else {
                assert_eq!(received.status, 202, "{front:?}");
                accepted.push(received);
            }
        }
        stage.go_all();
        for accepted in accepted {
            let result = result_of(server.address, Framing::Length, accepted.location()).await;
            assert_eq!(result.text(), "slow");
        }
    }
}

/// The monitor over the same connection as the request.
#[tokio::test]
async fn r2_the_connection_serves_the_monitor() {
    for front in HTTP1 {
        let (server, stage) = serve(front).await;
        let mut connection = Http1::connect(server.address).await;
        connection.write(SLOW[0]).await;
        let accepted = connection.response().await;
        let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: test\r\nprefer: wait=60\r\n\r\n");
        stage.go();
        connection.write(ask(accepted.location())).await;
        let ended = connection.response().await;
        assert_eq!(ended.status, 303);
        assert_eq!(ended.header("preference-applied"), "wait=60");
        connection.write(ask(ended.location())).await;
        assert_eq!(connection.response().await.text(), "slow");
    }
}

/// What is left of a body that nobody wants is hyper's affair: it takes it in or closes the connection. So it is with
/// a quick handler, and so it is after a 202.
#[tokio::test]
async fn r3_a_body_that_nobody_wants_is_treated_as_without_the_layer() {
    for front in HTTP1 {
        for (rest, left) in [("0123456789", "whole"), ("01234", "half")] {
            let mut outcomes = Vec::new();
            for policy in [patient(), impatient()] {
                let detach = policy == impatient();
                let stage = Stage::new();
                let handler = stage.clone();
                let server = Server::start(front, policy, move |request: Request<Body>| {
                    let stage = handler.clone();
                    async move {
                        drop(request);
                        if detach {
                            stage.wait().await;
                        }
                        Response::new(Body::empty())
                    }
                })
                .await;
                let mut connection = Http1::connect(server.address).await;
                connection
                    .write(format!("POST /work HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\n{rest}"))
                    .await;
                let status = connection.response().await.status.as_u16();
                assert_eq!(status, if detach { 202 } else { 200 });
                let written = connection.try_write("GET /operations/none HTTP/1.1\r\nhost: test\r\n\r\n").await;
                let next = match written {
                    Ok(()) => connection.head().await.map_or(0, |head| head.status.as_u16()),
                    Err(_) => 0,
                };
                outcomes.push(next);
                stage.go_all();
            }
            assert_eq!(outcomes[0], outcomes[1], "{front:?} {left}");
        }
    }
}

#[tokio::test]
async fn r3_a_client_that_closes_after_each_request_is_accepted() {
    for front in HTTP1 {
        let (server, stage) = serve(front).await;
        let mut connection = Http1::connect(server.address).await;
        connection
            .write("POST /slow HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 4\r\n\r\nslow")
            .await;
        let accepted = connection.response().await;
        assert_eq!(accepted.status, 202);
        connection.closed().await;
        stage.go();
        assert_eq!(result_of(server.address, Framing::Length, accepted.location()).await.text(), "slow");
    }
}

/// HTTP/1.0 knows neither chunks nor connections that stay open.
#[tokio::test]
async fn r3_a_client_of_http_1_0_is_accepted() {
    for front in HTTP1 {
        let (server, stage) = serve(front).await;
        let mut connection = Http1::connect(server.address).await;
        connection.write("POST /slow HTTP/1.0\r\ncontent-length: 4\r\n\r\nslow").await;
        let accepted = connection.response().await;
        assert_eq!(accepted.status, 202);
        connection.closed().await;
        stage.go();
        let ask = |path: &str| format!("GET {path} HTTP/1.0\r\nprefer: wait=60\r\n\r\n");
        let mut connection = Http1::connect(server.address).await;
        connection.write(ask(accepted.location())).await;
        let ended = connection.response().await;
        assert_eq!(ended.status, 303);
        let mut connection = Http1::connect(server.address).await;
        connection.write(ask(ended.location())).await;
        assert_eq!(connection.response().await.text(), "slow");
        let mut connection = Http1::connect(server.address).await;
        connection.write(ask(&format!("{}/events", accepted.location()))).await;
        let events = connection.response().await;
        assert!(events.text().starts_with("event: succeeded\n"), "{}", events.text());
        connection.closed().await;
    }
}
