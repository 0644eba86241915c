//! Clients that do one thing at a time, over either protocol.

mod http1;
mod http2;

use std::{future::Future, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, request, response};
use serde_json::Value;

pub(crate) use http1::Http1;
pub(crate) use http2::{Http2, Http2Stream};

/// Longer than anything takes, so that what takes longer is a hang.
const HANG: Duration = Duration::from_secs(60);

/// What has not come by then is taken not to come: too short a time hides a fault now and then, and never invents one.
const SILENCE: Duration = Duration::from_millis(45);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(HANG, future).await.expect("it hangs")
}

/// How a request with a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// HTTP/1 with `Content-Length`.
    Length,
    /// HTTP/1 in chunks.
    Chunked,
    Http2,
}

/// A response that has come whole.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Received {
    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a document in JSON")
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body of text")
    }
}

/// One request and its response, each sent and read as far as the test says.
pub(crate) enum Exchange {
    Http1 { connection: Http1, framing: Framing },
    Http2 { connection: Http2, stream: Http2Stream },
}

impl Exchange {
    /// Sends the head of a request over a connection of its own. `length` is that of the body to come.
    pub(crate) async fn begin(address: SocketAddr, framing: Framing, request: Request<()>, length: usize) -> Self {
        match framing {
            Framing::Http2 => {
                let mut connection = Http2::connect(address).await;
                let stream = connection.begin(request, false).await;
                Self::Http2 { connection, stream }
            }
            Framing::Length | Framing::Chunked => {
                let mut connection = Http1::connect(address).await;
                connection.begin(&request, framing, length).await;
                Self::Http1 { connection, framing }
            }
        }
    }

    /// Sends a whole request without a body over a connection of its own.
    pub(crate) async fn ask(address: SocketAddr, framing: Framing, request: Request<()>) -> Self {
        match framing {
            Framing::Http2 => {
                let mut connection = Http2::connect(address).await;
                let stream = connection.begin(request, true).await;
                Self::Http2 { connection, stream }
            }
            Framing::Length | Framing::Chunked => {
                let mut connection = Http1::connect(address).await;
                connection.ask(&request).await;
                Self::Http1 { connection, framing }
            }
        }
    }

    pub(crate) async fn send(&mut self, data: &[u8]) {
        match self {
            Self::Http1 { connection, framing } => connection.data(*framing, data).await,
            Self::Http2 { stream, .. } => stream.data(data),
        }
    }

    pub(crate) async fn end(&mut self, trailers: Option<HeaderMap>) {
        match self {
            Self::Http1 { connection, framing } => connection.end(*framing, trailers).await,
            Self::Http2 { stream, .. } => stream.end(trailers),
        }
    }

    /// Sees that no response comes.
    pub(crate) async fn silent(&mut self) {
        let heard = match self {
            Self::Http1 { connection, .. } => tokio::time::timeout(SILENCE, connection.hear()).await.is_ok(),
            Self::Http2 { stream, .. } => tokio::time::timeout(SILENCE, stream.hear()).await.is_ok(),
        };
        assert!(!heard, "a response came too early");
    }

    pub(crate) async fn head(&mut self) -> response::Parts {
        self.try_head().await.expect("the head of a response")
    }

    /// The same where the server may close the connection or reset the stream.
    pub(crate) async fn try_head(&mut self) -> Option<response::Parts> {
        let head = match self {
            Self::Http1 { connection, .. } => within(connection.head()).await,
            Self::Http2 { stream, .. } => within(stream.head()).await,
        };
        head.ok()
    }

    /// The next piece of the response's body, if there is more of it.
    pub(crate) async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Http1 { connection, .. } => within(connection.piece()).await,
            Self::Http2 { stream, .. } => within(stream.piece()).await,
        }
    }

    /// Reads the rest of the response.
    pub(crate) async fn rest(&mut self, head: response::Parts) -> io::Result<Received> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece);
        }
        let trailers = match self {
            Self::Http1 { connection, .. } => connection.take_trailers(),
            Self::Http2 { stream, .. } => stream.take_trailers(),
        };
        Ok(Received { status: head.status, headers: head.headers, body: body.into(), trailers })
    }

    pub(crate) async fn response(&mut self) -> Received {
        let head = self.head().await;
        self.rest(head).await.expect("a whole response")
    }

    /// Gives the exchange up: closes the connection of HTTP/1, resets the stream of HTTP/2 and gives its connection
    /// back.
    pub(crate) fn hang_up(self) -> Option<Http2> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2 { connection, mut stream } => {
                stream.reset();
                Some(connection)
            }
        }
    }
}

/// One request without a body, and its response.
pub(crate) async fn fetch(address: SocketAddr, framing: Framing, request: Request<()>) -> Received {
    Exchange::ask(address, framing, request).await.response().await
}

pub(crate) async fn get(address: SocketAddr, framing: Framing, path: &str) -> Received {
    fetch(address, framing, request(Method::GET, path).body(()).unwrap()).await
}

/// Waits for the end of an operation at its monitor, and gets its reply.
pub(crate) async fn result_of(address: SocketAddr, framing: Framing, location: &str) -> Received {
    let wait = request(Method::GET, location).header("prefer", "wait=60").body(()).unwrap();
    let ended = fetch(address, framing, wait).await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER, "{}", ended.text());
    get(address, framing, ended.location()).await
}

pub(crate) fn request(method: Method, path: &str) -> request::Builder {
    Request::builder().method(method).uri(path)
}

pub(crate) fn post(path: &str) -> request::Builder {
    request(Method::POST, path)
}
