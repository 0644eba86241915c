//! A message as it is sent: framed, and maybe compressed.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::Body;
use prost::Message;
use tonic::{
    Status,
    codec::{CompressionEncoding, EncodeBody, SingleMessageCompressionOverride},
    codegen::tokio_stream,
};
use tonic_prost::ProstEncoder;

/// The frame of a message.
pub(super) fn framed(message: impl Message, encoding: Option<CompressionEncoding>) -> Result<Bytes, Status> {
    let (encoder, message) = (ProstEncoder::default(), tokio_stream::once(Ok(message)));
    let as_usual = SingleMessageCompressionOverride::default();
    let mut body = pin!(EncodeBody::new_server(encoder, message, encoding, as_usual, Some(usize::MAX)));
    // All of it is there, so there is nothing to wait for.
    match body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().map_err(|frame| {
            let status = frame.into_trailers().ok().and_then(|trailers| Status::from_header_map(&trailers));
            status.unwrap_or_else(too_large)
        }),
        Poll::Ready(Some(Err(status))) => Err(status),
        Poll::Ready(None) | Poll::Pending => Err(too_large()),
    }
}

/// The frame of what is a message already.
pub(super) fn plain(message: &[u8]) -> Result<Bytes, Status> {
    const PREFIX: usize = 5;
    let length = u32::try_from(message.len()).map_err(|_| too_large())?;
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    Ok(frame.freeze())
}

fn too_large() -> Status {
    Status::internal("the message is larger than can be sent")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::longrunning::message::{self, Encoding};

    proptest! {
        #[test]
        fn what_is_framed_can_be_read(data: Vec<u8>, choice in 0..4) {
            let (encoding, name) = match choice {
                0 => (None, "identity"),
                1 => (Some(CompressionEncoding::Gzip), "gzip"),
                2 => (Some(CompressionEncoding::Deflate), "deflate"),
                _ => (Some(CompressionEncoding::Zstd), "zstd"),
            };
            let name = http::HeaderValue::from_static(name);
            let frame = framed(data.clone(), encoding).unwrap();
            prop_assert_eq!(
                message::decode(frame, Encoding::named(Some(&name)), usize::MAX).unwrap(),
                data.encode_to_vec()
            );
            let frame = plain(&data).unwrap();
            prop_assert_eq!(message::decode(frame, Encoding::Identity, usize::MAX).unwrap(), data);
        }
    }
}
