//! HTTP/2 with prior knowledge, frame by frame.

use std::{future::poll_fn, io, net::SocketAddr, pin::Pin};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client};
use http::{HeaderMap, Request, Uri, response};
use tokio::{net::TcpStream, task::JoinHandle};

use super::{Received, within};

/// A connection. It is closed when this is dropped.
pub(crate) struct Http2 {
    requests: client::SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (requests, connection) = within(client::handshake(stream)).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { requests, connection }
    }

    /// Sends the head of a request.
    pub(crate) async fn begin(&mut self, mut request: Request<()>, is_whole: bool) -> Http2Stream {
        let uri = Uri::try_from(format!("http://test{}", request.uri())).unwrap();
        *request.uri_mut() = uri;
        within(poll_fn(|context| self.requests.poll_ready(context))).await.unwrap();
        let (response, body) = self.requests.send_request(request, is_whole).unwrap();
        Http2Stream { body, response: Response::Expected(response), trailers: None }
    }

    /// One request without a body, and its response.
    pub(crate) async fn fetch(&mut self, request: Request<()>) -> Received {
        self.begin(request, true).await.response().await
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// One request and its response.
pub(crate) struct Http2Stream {
    body: SendStream<Bytes>,
    response: Response,
    trailers: Option<HeaderMap>,
}

enum Response {
    Expected(client::ResponseFuture),
    /// Its head has come and not been asked for yet.
    Come(Box<response::Parts>, RecvStream),
    Body(RecvStream),
    Failed,
}

impl Http2Stream {
    /// Sent as the server's window allows.
    pub(crate) fn data(&mut self, data: &[u8]) {
        self.body.send_data(Bytes::copy_from_slice(data), false).unwrap();
    }

    /// `END_STREAM` in a frame of its own.
    pub(crate) fn end(&mut self, trailers: Option<HeaderMap>) {
        match trailers {
            Some(trailers) => self.body.send_trailers(trailers).unwrap(),
            None => self.body.send_data(Bytes::new(), true).unwrap(),
        }
    }

    pub(crate) fn reset(&mut self) {
        self.body.send_reset(Reason::CANCEL);
    }

    pub(super) async fn hear(&mut self) {
        if let Response::Expected(response) = &mut self.response {
            self.response = match Pin::new(response).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    Response::Come(Box::new(head), body)
                }
                Err(_) => Response::Failed,
            };
        }
    }

    pub(crate) async fn head(&mut self) -> io::Result<response::Parts> {
        self.hear().await;
        match std::mem::replace(&mut self.response, Response::Failed) {
            Response::Come(head, body) => {
                self.response = Response::Body(body);
                Ok(*head)
            }
            Response::Expected(_) | Response::Body(_) | Response::Failed => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    pub(crate) async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let Response::Body(body) = &mut self.response else { return Err(io::ErrorKind::NotConnected.into()) };
        while let Some(data) = body.data().await {
            let data = data.map_err(io::Error::other)?;
            body.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
            // A frame without data may bear the end.
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
        self.trailers = body.trailers().await.map_err(io::Error::other)?;
        Ok(None)
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    pub(crate) async fn response(&mut self) -> Received {
        let head = within(self.head()).await.expect("the head of a response");
        let mut body = Vec::new();
        while let Some(piece) = within(self.piece()).await.expect("a whole body") {
            body.extend_from_slice(&piece);
        }
        let trailers = self.take_trailers();
        Received { status: head.status, headers: head.headers, body: body.into(), trailers }
    }
}
