//! The message in the body of a unary reply.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http::HeaderValue;
use http_body_util::Full;
use tonic::{
    Status, Streaming,
    codec::{CompressionEncoding, DecodeBuf, Decoder},
};

/// The one message of the body, decompressed and at most `limit` bytes long.
pub(crate) fn decode(body: Bytes, encoding: Option<&HeaderValue>, limit: usize) -> Result<Vec<u8>, Status> {
    let encoding = match encoding.map(HeaderValue::as_bytes) {
        None | Some(b"identity") => None,
        Some(b"gzip") => Some(CompressionEncoding::Gzip),
        Some(b"deflate") => Some(CompressionEncoding::Deflate),
        Some(b"zstd") => Some(CompressionEncoding::Zstd),
        Some(_) => return Err(Status::internal("the reply is compressed in a way that is unknown here")),
    };
    let mut messages = Streaming::new_request(Undecoded, Full::new(body), encoding, Some(limit));
    let message = now(messages.message())?.ok_or_else(|| Status::internal("the reply has no message"))?;
    match now(messages.message())? {
        None => Ok(message),
        Some(_) => Err(Status::internal("the reply has more than one message")),
    }
}

/// What is made of a body that is there in whole, and so never waits.
fn now<T>(read: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match pin!(read).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read,
        Poll::Pending => Err(Status::internal("the reply is not whole")),
    }
}

/// Leaves messages as they are.
struct Undecoded;

impl Decoder for Undecoded {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).into()))
    }
}
