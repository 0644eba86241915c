//! Server-sent events over the wire: each sent as it happens.

use axum::body::Body;
use http::{Method, Request, Response};
use serde_json::Value;
use tower_respond_async::{OperationHandle, Progress};

use crate::{
    client::{Exchange, Framing, Received, fetch, post, request},
    server::{ALL, Front, Server, impatient},
    stage::Stage,
};

/// Reports progress whenever it is told to go on, three times, and ends.
async fn work(stage: Stage, request: Request<Body>) -> Response<Body> {
    let _presence = stage.enter();
    let handle = request.extensions().get::<OperationHandle>().unwrap().clone();
    for step in 1..=3 {
        stage.wait().await;
        handle.set_progress(Progress::new(f64::from(step) / 4.0).message(format!("step {step}")));
    }
    stage.wait().await;
    Response::new(Body::from("done"))
}

async fn running(front: Front, framing: Framing) -> (Server, Stage, String) {
    let stage = Stage::new();
    let handler = stage.clone();
    let server = Server::start(front, impatient().handle(true), move |request| work(handler.clone(), request)).await;
    let accepted = fetch(server.address, framing, post("/work").body(()).unwrap()).await;
    assert_eq!(accepted.status, 202);
    (server, stage, accepted.location().to_owned())
}

fn events(location: &str, last: Option<&str>) -> Request<()> {
    let request = request(Method::GET, location).header("accept", "text/event-stream");
    let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
    request.body(()).unwrap()
}

/// The name, the id and the document of an event that came in a piece of its own.
fn parse(event: &[u8]) -> (String, String, Value) {
    let text = str::from_utf8(event).unwrap();
    let lines: Vec<_> = text.strip_suffix("\n\n").unwrap().lines().collect();
    let [name, id, data] = lines.try_into().unwrap();
    let field = |line: &str, name: &str| line.strip_prefix(name).unwrap().to_owned();
    (field(name, "event: "), field(id, "id: "), serde_json::from_str(&field(data, "data: ")).unwrap())
}

async fn next(reading: &mut Exchange) -> (String, String, Value) {
    parse(&reading.piece().await.unwrap().expect("another event"))
}

#[tokio::test]
async fn events_come_one_by_one_as_they_happen() {
    for (front, framing) in ALL {
        let (server, stage, location) = running(front, framing).await;
        let mut reading = Exchange::ask(server.address, framing, events(&location, None)).await;
        let head = reading.head().await;
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "text/event-stream");
        assert_eq!(head.headers["cache-control"], "no-store");
        assert!(!head.headers.contains_key("content-length"));
        let (name, id, document) = next(&mut reading).await;
        assert_eq!((name.as_str(), id.as_str(), &document["status"]), ("running", "1", &"running".into()));
        for step in 1..=3 {
            stage.go();
            let (name, id, document) = next(&mut reading).await;
            assert_eq!((name.as_str(), id), ("progress", (step + 1).to_string()), "{front:?} {framing:?}");
            assert_eq!(document["progress"]["message"], format!("step {step}"));
        }
        stage.go();
        let (name, id, document) = next(&mut reading).await;
        assert_eq!((name.as_str(), id.as_str(), &document["status"]), ("succeeded", "end", &"succeeded".into()));
        assert_eq!(reading.piece().await.unwrap(), None, "{front:?} {framing:?}");
    }
}

#[tokio::test]
async fn a_reader_resumes_where_it_was_and_stops_at_the_end() {
    for (front, framing) in ALL {
        let (server, stage, location) = running(front, framing).await;
        stage.go();
        let mut reading = Exchange::ask(server.address, framing, events(&location, Some("1"))).await;
        reading.head().await;
        assert_eq!(next(&mut reading).await.0, "progress");
        drop(reading.hang_up());
        let mut reading = Exchange::ask(server.address, framing, events(&location, Some("2"))).await;
        reading.head().await;
        stage.go();
        let (name, id, document) = next(&mut reading).await;
        assert_eq!((name.as_str(), id.as_str()), ("progress", "3"));
        assert_eq!(document["progress"]["message"], "step 2");
        stage.go_all();
        let last = loop {
            let (name, id, _) = next(&mut reading).await;
            if name != "progress" {
                break (name, id);
            }
        };
        assert_eq!(last, ("succeeded".to_owned(), "end".to_owned()));
        assert_nothing_more(&fetch(server.address, framing, events(&location, Some("end"))).await);
        let again = fetch(server.address, framing, events(&location, Some("3"))).await;
        assert_eq!(parse(&again.body).0, "succeeded");
    }
}

fn assert_nothing_more(received: &Received) {
    assert_eq!((received.status.as_u16(), received.body.len()), (204, 0));
    assert!(!received.headers.contains_key("content-type"));
}

/// One that is deleted while it is read tells its readers so.
#[tokio::test]
async fn r9_a_canceled_operation_says_so_to_its_readers() {
    for (front, framing) in ALL {
        let (server, stage, location) = running(front, framing).await;
        let mut reading = Exchange::ask(server.address, framing, events(&location, None)).await;
        reading.head().await;
        assert_eq!(next(&mut reading).await.0, "running");
        let deleted = fetch(server.address, framing, request(Method::DELETE, &location).body(()).unwrap()).await;
        assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
        stage.gone().await;
        assert_eq!(next(&mut reading).await.0, "canceled");
        assert_eq!(reading.piece().await.unwrap(), None, "{front:?} {framing:?}");
        assert_eq!(server.operations.in_flight(), 0);
    }
}
