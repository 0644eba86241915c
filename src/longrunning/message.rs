//! The message in the body of a unary reply.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http::HeaderValue;
use http_body_util::Full;
use tonic::{
    Code, Status, Streaming,
    codec::{CompressionEncoding, DecodeBuf, Decoder},
};

/// How a message is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Known(CompressionEncoding),
    Unknown,
}

impl Encoding {
    /// By its name in `grpc-encoding`.
    pub(crate) fn named(name: Option<&HeaderValue>) -> Self {
        match name.map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Self::Identity,
            Some(b"gzip") => Self::Known(CompressionEncoding::Gzip),
            Some(b"deflate") => Self::Known(CompressionEncoding::Deflate),
            Some(b"zstd") => Self::Known(CompressionEncoding::Zstd),
            Some(_) => Self::Unknown,
        }
    }
}

/// Why a body is not the reply of a call that has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its message is larger than is read.
    TooLarge,
    /// It is not one message.
    Malformed,
}

/// Whether the body will [decode](decode) under this limit. One in an unknown encoding is believed.
pub(crate) fn check(body: &[u8], encoding: Encoding, limit: usize) -> Result<(), Fault> {
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk() else { return Err(Fault::Malformed) };
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(message.len()) {
        return Err(Fault::Malformed);
    }
    match (flag, encoding) {
        (0, _) if message.len() > limit => Err(Fault::TooLarge),
        (0, _) | (1, Encoding::Unknown) => Ok(()),
        (1, Encoding::Known(_)) => match decode(Bytes::copy_from_slice(body), encoding, limit) {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::ResourceExhausted => Err(Fault::TooLarge),
            Err(_) => Err(Fault::Malformed),
        },
        _ => Err(Fault::Malformed),
    }
}

/// The one message of the body, decompressed and at most `limit` bytes long.
pub(crate) fn decode(body: Bytes, encoding: Encoding, limit: usize) -> Result<Vec<u8>, Status> {
    let encoding = match encoding {
        Encoding::Identity => None,
        Encoding::Known(encoding) => Some(encoding),
        // It may be compressed, or not.
        Encoding::Unknown if body.first() == Some(&0) => None,
        Encoding::Unknown => return Err(Status::internal("the reply is compressed in a way that is unknown here")),
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use prost::Message;
    use tonic::codec::{EncodeBody, SingleMessageCompressionOverride};
    use tonic_prost::ProstEncoder;

    use super::*;

    const GZIP: Encoding = Encoding::Known(CompressionEncoding::Gzip);

    fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
        [&[flag], &(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    fn gzip(data: Vec<u8>) -> Vec<u8> {
        let messages = tokio_stream::once(Ok(data));
        let inherit = SingleMessageCompressionOverride::default();
        let gzip = Some(CompressionEncoding::Gzip);
        let body = EncodeBody::new_server(ProstEncoder::<Vec<u8>>::default(), messages, gzip, inherit, None);
        tokio_test::block_on(body.collect()).unwrap().to_bytes().into()
    }

    #[test]
    fn a_message_may_take_as_much_as_the_limit() {
        for size in [100, 1_000, 100_000] {
            let (data, length) = (vec![7; size], vec![7; size].encode_to_vec().len());
            for (limit, expected) in [(length, Ok(())), (length - 1, Err(Fault::TooLarge))] {
                let plain = frame(0, &data.encode_to_vec());
                assert_eq!(check(&plain, Encoding::Identity, limit), expected, "{size}");
                let gzip = gzip(data.clone());
                assert_eq!(check(&gzip, GZIP, limit), expected, "{size}, compressed");
            }
        }
    }

    #[test]
    fn what_cannot_be_decompressed_here_is_believed() {
        assert_eq!(check(&frame(1, b"ssss"), Encoding::Unknown, 9), Ok(()));
        assert_eq!(check(&frame(1, b"ssss"), Encoding::Identity, 9), Err(Fault::Malformed));
        assert_eq!(check(&frame(1, b"ssss"), GZIP, 9), Err(Fault::Malformed));
    }

    proptest! {
        #[test]
        fn what_is_checked_is_decoded(
            flag in 0..3_u8, data in prop::collection::vec(any::<u8>(), 0..40), limit in 0..60_usize, whole: bool,
            choice in 0..3_usize,
        ) {
            let encoding = [Encoding::Identity, GZIP, Encoding::Known(CompressionEncoding::Zstd)][choice];
            let body = match (flag, choice, whole) {
                (1, 1, _) => gzip(data),
                (_, _, true) => frame(flag, &data),
                _ => data,
            };
            let decoded = decode(body.clone().into(), encoding, limit.max(body.len()));
            prop_assert_eq!(check(&body, encoding, limit.max(body.len())).is_ok(), decoded.is_ok());
        }
    }
}
