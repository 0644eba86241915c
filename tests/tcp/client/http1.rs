//! HTTP/1 (RFC 9112) by hand.

use std::{io, net::SocketAddr, str};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, response};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Framing, within};

pub(crate) struct Http1 {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// Its response has no body, whatever its head says.
    asked_for_head: bool,
    rest: Rest,
    trailers: Option<HeaderMap>,
}

/// What is still to come of a response's body.
enum Rest {
    Nothing,
    Bytes(usize),
    Chunks,
    UntilClosed,
}

/// Requests.
impl Http1 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, asked_for_head: false, rest: Rest::Nothing, trailers: None }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.writer.write_all(bytes.as_ref())).await.expect("a connection that takes what is sent");
    }

    /// The same where the server may have closed the connection.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within(self.writer.write_all(bytes.as_ref())).await
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) async fn close_half(&mut self) {
        self.writer.shutdown().await.unwrap();
    }

    pub(super) async fn begin(&mut self, request: &Request<()>, framing: Framing, length: usize) {
        let framing = match framing {
            Framing::Length => format!("content-length: {length}\r\n"),
            Framing::Chunked | Framing::Http2 => "transfer-encoding: chunked\r\n".to_owned(),
        };
        self.write_head(request, &framing).await;
    }

    pub(crate) async fn ask(&mut self, request: &Request<()>) {
        self.write_head(request, "").await;
    }

    async fn write_head(&mut self, request: &Request<()>, framing: &str) {
        self.asked_for_head = request.method() == Method::HEAD;
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: test\r\n{framing}", request.method(), request.uri()).into_bytes();
        for (name, value) in request.headers() {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        self.write(head).await;
    }

    pub(super) async fn data(&mut self, framing: Framing, data: &[u8]) {
        if framing == Framing::Length {
            return self.write(data).await;
        }
        self.write(format!("{:x}\r\n", data.len())).await;
        self.write(data).await;
        self.write("\r\n").await;
    }

    /// Nothing where the length was said, since the end follows from it. Then there can be no trailers.
    pub(super) async fn end(&mut self, framing: Framing, trailers: Option<HeaderMap>) {
        if framing == Framing::Length {
            return;
        }
        let mut end = "0\r\n".to_owned();
        for (name, value) in trailers.iter().flatten() {
            end += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        self.write(end + "\r\n").await;
    }
}

/// Responses.
impl Http1 {
    /// Waits until something can be read.
    pub(crate) async fn hear(&mut self) {
        drop(self.reader.fill_buf().await);
    }

    pub(crate) async fn head(&mut self) -> io::Result<response::Parts> {
        let status_line = self.line().await?;
        let (version, status) = status_line.split_once(' ').ok_or_else(|| malformed(&status_line))?;
        let status: StatusCode =
            status.get(..3).and_then(|status| status.parse().ok()).ok_or_else(|| malformed(status))?;
        let headers = self.fields().await?;
        self.rest = rest_of(version, status, &headers, self.asked_for_head);
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response.into_parts().0)
    }

    pub(crate) async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        match self.rest {
            Rest::Nothing | Rest::Bytes(0) => Ok(None),
            Rest::Bytes(left) => {
                let piece = self.at_most(left).await?;
                self.rest = Rest::Bytes(left - piece.len());
                if piece.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(piece)) }
            }
            Rest::UntilClosed => Ok(Some(self.at_most(usize::MAX).await?).filter(|piece| !piece.is_empty())),
            Rest::Chunks => self.chunk().await,
        }
    }

    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let line = self.line().await?;
        let size = usize::from_str_radix(&line, 16).map_err(|_| malformed(&line))?;
        if size == 0 {
            self.rest = Rest::Nothing;
            self.trailers = Some(self.fields().await?).filter(|trailers| !trailers.is_empty());
            return Ok(None);
        }
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).await?;
        chunk.truncate(size);
        Ok(Some(chunk.into()))
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    pub(crate) async fn response(&mut self) -> super::Received {
        let head = within(self.head()).await.expect("the head of a response");
        let mut body = Vec::new();
        while let Some(piece) = within(self.piece()).await.expect("a whole body") {
            body.extend_from_slice(&piece);
        }
        let trailers = self.take_trailers();
        super::Received { status: head.status, headers: head.headers, body: body.into(), trailers }
    }

    /// Reads what is not HTTP any more.
    pub(crate) async fn raw(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within(self.reader.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Waits until the server closes the connection.
    pub(crate) async fn closed(&mut self) {
        let mut more = Vec::new();
        // A reset is an end, too.
        drop(within(self.reader.read_to_end(&mut more)).await);
        assert!(more.is_empty(), "{:?}", String::from_utf8_lossy(&more));
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn fields(&mut self) -> io::Result<HeaderMap> {
        let mut fields = HeaderMap::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            let name = HeaderName::try_from(name).map_err(|_| malformed(&line))?;
            let value = HeaderValue::try_from(value.trim()).map_err(|_| malformed(&line))?;
            fields.append(name, value);
        }
    }

    async fn at_most(&mut self, length: usize) -> io::Result<Bytes> {
        let buffered = self.reader.fill_buf().await?;
        let piece = Bytes::copy_from_slice(&buffered[..buffered.len().min(length)]);
        self.reader.consume(piece.len());
        Ok(piece)
    }
}

fn rest_of(version: &str, status: StatusCode, headers: &HeaderMap, asked_for_head: bool) -> Rest {
    let length = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    if asked_for_head || status.is_informational() || matches!(status.as_u16(), 204 | 304) {
        Rest::Nothing
    } else if headers.contains_key("transfer-encoding") {
        assert_eq!(version, "HTTP/1.1", "chunks are not known before");
        Rest::Chunks
    } else {
        length.map_or(Rest::UntilClosed, Rest::Bytes)
    }
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed: {line:?}"))
}
