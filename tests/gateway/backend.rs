//! Backends to put behind the gateway.

use std::{collections::BTreeMap, io, process::Command, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http_body_util::Channel;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, mpsc},
};

use crate::program::Program;

/// A backend whose slow handlers wait until the test releases them.
pub(crate) struct Backend {
    pub(crate) address: String,
    /// Tells of each slow request that was dropped before it was released.
    pub(crate) dropped: mpsc::UnboundedReceiver<()>,
    gate: Arc<Semaphore>,
}

#[derive(Clone)]
struct Gate {
    released: Arc<Semaphore>,
    dropped: mpsc::UnboundedSender<()>,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let released = Arc::new(Semaphore::new(0));
        let (sender, dropped) = mpsc::unbounded_channel();
        let app = Router::new()
            .route("/quick", any(quick))
            .route("/seen", get(seen))
            .route("/echo", post(async |request: Request| request.into_body()))
            .route("/slow", any(slow))
            .route("/dying", get(dying))
            .route("/slow-and-dying", post(slow_and_dying))
            .route("/socket", get(socket))
            .with_state(Gate { released: Arc::clone(&released), dropped: sender });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, dropped, gate: released }
    }

    /// Lets slow handlers go on, one step each.
    pub(crate) fn release(&self, steps: usize) {
        self.gate.add_permits(steps);
    }

    pub(crate) fn release_after(&self, time: Duration) {
        let gate = Arc::clone(&self.gate);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            gate.add_permits(1);
        });
    }
}

impl Gate {
    async fn pass(&self) {
        let mut waiting = Waiting { gate: self, released: false };
        self.released.acquire().await.unwrap().forget();
        waiting.released = true;
    }
}

struct Waiting<'g> {
    gate: &'g Gate,
    released: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.released {
            let _ = self.gate.dropped.send(());
        }
    }
}

async fn quick() -> impl IntoResponse {
    let headers = [("x-own", "1"), ("set-cookie", "a=1")];
    let mut response = (StatusCode::IM_A_TEAPOT, headers, "quick").into_response();
    response.headers_mut().append(header::SET_COOKIE, header::HeaderValue::from_static("b=2"));
    response
}

/// The headers that arrived.
async fn seen(headers: HeaderMap) -> impl IntoResponse {
    let seen: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    assert_eq!(seen.len(), headers.len(), "each is one line");
    ([("connection", "x-backend-hop"), ("x-backend-hop", "1")], Json(seen))
}

async fn slow(State(gate): State<Gate>, body: String) -> impl IntoResponse {
    gate.pass().await;
    (StatusCode::CREATED, [("x-own", "1")], format!("slow: {body}"))
}

/// Begins at once, and breaks off once it is released.
async fn dying(State(gate): State<Gate>) -> Response {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let _ = sender.send_data(Bytes::from("the beginning")).await;
        gate.pass().await;
        sender.abort(io::Error::other("the end"));
    });
    Body::new(body).into_response()
}

async fn slow_and_dying(State(gate): State<Gate>) -> Response {
    gate.pass().await;
    dying(State(gate)).await
}

/// Sends back whatever comes, once it is no longer HTTP.
async fn socket(mut request: Request) -> impl IntoResponse {
    assert_eq!(request.headers()[header::CONNECTION], "upgrade");
    assert_eq!(request.headers()[header::UPGRADE], "websocket");
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded.await.unwrap()));
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "websocket")])
}

/// An address where nobody listens.
pub(crate) async fn no_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A backend that ends its replies by ending the connection.
pub(crate) async fn of_http_1_0() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nold").await;
        }
    });
    address
}

const PYTHON: &str = r#"
import http.server, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.path.startswith("/slow"):
            time.sleep(1)
        reply = f"{self.command} {self.path} {body}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_POST = reply

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"#;

pub(crate) struct Python {
    _program: Program,
    pub(crate) address: String,
}

/// Needs Python; on Debian: `apt-get install python3`.
pub(crate) fn in_python() -> Python {
    let mut program = Program::start(Command::new("python3").args(["-c", PYTHON]));
    let address = program.line_after("listening on ");
    Python { _program: program, address }
}
