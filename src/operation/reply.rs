//! The reply of an operation: one response, packed into one piece of memory.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::state::{Failure, State};

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "durable", derive(serde::Deserialize, serde::Serialize))]
pub enum Ending {
    /// With its handler's reply.
    Replied,
    /// Without one.
    Failed(Failure),
    /// On demand.
    Canceled,
}

/// The reply of an operation, as it is kept: status, headers, body and trailers in one allocation, because there may
/// be a million of them. A reply that is not the handler's may be empty: a problem document stands in for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub(super) ending: Ending,
    /// Absent where there is no reply at all.
    pub(super) status: Option<StatusCode>,
    pub(super) headers: u32,
    pub(super) trailers: u32,
    /// Headers, then the body, then trailers.
    pub(super) packed: Box<[u8]>,
}

/// A reply whose body is still coming.
#[derive(Debug)]
pub(crate) struct ReplyBuilder {
    ending: Ending,
    status: StatusCode,
    headers: u32,
    packed: Vec<u8>,
}

impl ReplyBuilder {
    /// Begins with the head; `body_length` is what is known of the body's length. `None` where the headers are absurdly
    /// large.
    pub(crate) fn new(ending: Ending, status: StatusCode, headers: &HeaderMap, body_length: usize) -> Option<Self> {
        let size = packed_size(headers);
        let mut packed = Vec::with_capacity(size.checked_add(body_length)?);
        pack(headers, &mut packed)?;
        Some(Self { ending, status, headers: u32::try_from(size).ok()?, packed })
    }

    pub(crate) fn extend(&mut self, mut data: impl Buf) {
        while data.has_remaining() {
            let chunk = data.chunk();
            self.packed.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }

    /// What it takes in memory so far, as the limits count it.
    pub(crate) fn size(&self) -> usize {
        self.packed.len()
    }

    /// Ends with the trailers. `None` where they are absurdly large.
    pub(crate) fn build(mut self, trailers: Option<&HeaderMap>) -> Option<Reply> {
        let before = self.packed.len();
        if let Some(trailers) = trailers {
            self.packed.reserve_exact(packed_size(trailers));
            pack(trailers, &mut self.packed)?;
        }
        let trailers = u32::try_from(self.packed.len() - before).ok()?;
        let Self { ending, status, headers, packed } = self;
        Some(Reply { ending, status: Some(status), headers, trailers, packed: packed.into_boxed_slice() })
    }
}

impl Reply {
    /// No reply, and why.
    #[must_use]
    pub fn none(ending: Ending) -> Self {
        Self::head(ending, None)
    }

    /// A reply of which no more is known, or wanted, than its status.
    #[must_use]
    pub fn head(ending: Ending, status: Option<StatusCode>) -> Self {
        Self { ending, status, headers: 0, trailers: 0, packed: Box::default() }
    }

    /// How the operation ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// The state of the operation that ended with this reply.
    #[must_use]
    pub fn state(&self) -> State {
        match self.ending {
            Ending::Replied if self.status().as_u16() < 400 => State::Succeeded,
            Ending::Replied | Ending::Failed(_) => State::Failed,
            Ending::Canceled => State::Canceled,
        }
    }

    /// Whether there is anything to send; else a problem document stands in.
    pub(crate) fn is_empty(&self) -> bool {
        self.status.is_none()
    }

    /// The reply's status, where there is a reply.
    #[must_use]
    pub fn status_or_none(&self) -> Option<StatusCode> {
        self.status
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What it takes in memory, as the limits count it: the bytes of its headers, body and trailers.
    #[must_use]
    pub fn size(&self) -> usize {
        self.packed.len()
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        unpack(self.packed.get(..self.headers as usize).unwrap_or_default())
    }

    pub(crate) fn trailers(&self) -> Option<HeaderMap> {
        (self.trailers > 0).then(|| unpack(self.packed.get(self.body_end()..).unwrap_or_default()))
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.packed.get(self.headers as usize..self.body_end()).unwrap_or_default()
    }

    fn body_end(&self) -> usize {
        self.packed.len() - self.trailers as usize
    }
}

// Headers are packed field by field: the lengths of name and value, name, value. A value marked as sensitive, and so
// kept out of logs and of HTTP/2's compression tables, stays so.

const LENGTHS: usize = 2 + 4;
const SENSITIVE: u32 = 1 << 31;

pub(super) fn packed_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| LENGTHS + name.as_str().len() + value.len()).sum()
}

pub(super) fn pack(headers: &HeaderMap, packed: &mut Vec<u8>) -> Option<()> {
    for (name, value) in headers {
        let length = u32::try_from(value.len()).ok().filter(|length| length & SENSITIVE == 0)?;
        let flag = if value.is_sensitive() { SENSITIVE } else { 0 };
        packed.extend_from_slice(&u16::try_from(name.as_str().len()).ok()?.to_le_bytes());
        packed.extend_from_slice(&(length | flag).to_le_bytes());
        packed.extend_from_slice(name.as_str().as_bytes());
        packed.extend_from_slice(value.as_bytes());
    }
    Some(())
}

pub(super) fn unpack(mut packed: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    while let Some((name, value, rest)) = unpack_field(packed) {
        headers.append(name, value);
        packed = rest;
    }
    headers
}

fn unpack_field(packed: &[u8]) -> Option<(HeaderName, HeaderValue, &[u8])> {
    let (name_length, packed) = packed.split_first_chunk()?;
    let (value_length, packed) = packed.split_first_chunk()?;
    let value_length = u32::from_le_bytes(*value_length);
    let (name, packed) = packed.split_at_checked(u16::from_le_bytes(*name_length).into())?;
    let (value, packed) = packed.split_at_checked((value_length & !SENSITIVE) as usize)?;
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(value_length & SENSITIVE != 0);
    Some((HeaderName::from_bytes(name).ok()?, value, packed))
}

/// The body of a kept reply, given out without a copy.
pub(crate) fn shared_body<R>(kept: Arc<R>) -> Bytes
where
    R: AsRef<Reply> + Send + Sync + 'static,
{
    struct Body<R>(Arc<R>);
    impl<R: AsRef<Reply>> AsRef<[u8]> for Body<R> {
        fn as_ref(&self) -> &[u8] {
            (*self.0).as_ref().body()
        }
    }
    Bytes::from_owner(Body(kept))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replied(status: u16) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        ReplyBuilder::new(Ending::Replied, status, &HeaderMap::new(), 0).unwrap().build(None).unwrap()
    }

    #[test]
    fn an_absent_reply_is_empty_and_a_replied_one_never() {
        assert!(Reply::none(Ending::Canceled).is_empty());
        assert!(!replied(204).is_empty());
        assert_eq!(replied(204).trailers(), None);
    }

    #[test]
    fn the_status_decides_between_success_and_failure() {
        for (status, state) in
            [(200, State::Succeeded), (399, State::Succeeded), (400, State::Failed), (503, State::Failed)]
        {
            assert_eq!(replied(status).state(), state);
        }
    }

    fn header_map() -> impl Strategy<Value = HeaderMap> {
        let field = ("[a-z][a-z0-9-]{0,20}", proptest::collection::vec(32_u8..=126, 0..40), any::<bool>());
        proptest::collection::vec(field, 0..12).prop_map(|fields| {
            let mut headers = HeaderMap::new();
            for (name, value, sensitive) in fields {
                let mut value = HeaderValue::from_bytes(&value).unwrap();
                value.set_sensitive(sensitive);
                headers.append(HeaderName::try_from(name).unwrap(), value);
            }
            headers
        })
    }

    fn sensitive(headers: &HeaderMap) -> Vec<bool> {
        headers.values().map(HeaderValue::is_sensitive).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(
            headers in header_map(),
            trailers in header_map(),
            body in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..5),
        ) {
            let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &headers, 3).unwrap();
            for piece in &body {
                reply.extend(piece.as_slice());
            }
            prop_assert_eq!(reply.size(), packed_size(&headers) + body.concat().len());
            let reply = reply.build(Some(&trailers)).unwrap();
            prop_assert_eq!(sensitive(&reply.headers()), sensitive(&headers));
            prop_assert_eq!(reply.headers(), headers);
            prop_assert_eq!(reply.trailers().unwrap_or_default(), trailers);
            prop_assert_eq!(reply.body(), body.concat());
        }
    }
}
