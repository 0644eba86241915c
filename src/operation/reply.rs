//! The reply of an operation: one response, packed into one piece of memory.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

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

impl Ending {
    /// Why it failed without its handler's reply, where it did.
    #[must_use]
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Replied | Self::Canceled => None,
        }
    }
}

/// The reply of an operation, as it is kept: status, headers, body and trailers in one allocation, because there may
/// be a million of them. A reply that is not the handler's may be empty: a problem document stands in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(super) ending: Ending,
    /// Absent where there is no reply at all.
    pub(super) status: Option<StatusCode>,
    /// How many fields the header has.
    pub(super) fields: u16,
    pub(super) headers: u32,
    pub(super) trailers: u32,
    /// Headers, then the body, then trailers.
    pub(super) packed: Box<[u8]>,
}

impl AsRef<Self> for Reply {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// A reply whose body is still coming.
#[derive(Debug)]
pub(crate) struct ReplyBuilder {
    ending: Ending,
    status: StatusCode,
    fields: u16,
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
        let fields = u16::try_from(headers.len()).ok()?;
        Some(Self { ending, status, fields, headers: u32::try_from(size).ok()?, packed })
    }

    pub(crate) fn extend(&mut self, mut data: impl Buf) {
        while data.has_remaining() {
            let chunk = data.chunk();
            self.packed.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }

    /// What has come of the body.
    pub(crate) fn body(&self) -> &[u8] {
        self.packed.get(self.headers as usize..).unwrap_or_default()
    }

    /// The status, where it is known at the end only.
    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = status;
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
        let Self { ending, status, fields, headers, packed } = self;
        Some(Reply { ending, status: Some(status), fields, headers, trailers, packed: packed.into_boxed_slice() })
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
        Self { ending, status, fields: 0, headers: 0, trailers: 0, packed: Box::default() }
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

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.packed.get(self.headers as usize..self.body_end()).unwrap_or_default()
    }

    /// What it takes in memory, as the limits count it: the bytes of its headers, body and trailers.
    #[must_use]
    pub fn size(&self) -> usize {
        self.packed.len()
    }

    fn body_end(&self) -> usize {
        self.packed.len() - self.trailers as usize
    }
}

/// A kept reply that is given out: everything in it is a slice of the memory that it is kept in.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    reply: &'a Reply,
    packed: Bytes,
}

impl<'a> Given<'a> {
    pub(crate) fn of<R>(kept: &'a Arc<R>) -> Self
    where
        R: AsRef<Reply> + Send + Sync + 'static,
    {
        struct Kept<R>(Arc<R>);
        impl<R: AsRef<Reply>> AsRef<[u8]> for Kept<R> {
            fn as_ref(&self) -> &[u8] {
                &(*self.0).as_ref().packed
            }
        }
        Self { reply: (**kept).as_ref(), packed: Bytes::from_owner(Kept(Arc::clone(kept))) }
    }

    /// The header, in a map with room for so many fields more.
    pub(crate) fn headers(&self, room: usize) -> HeaderMap {
        let fields = self.packed.slice(..self.reply.headers as usize);
        unpack(fields, usize::from(self.reply.fields) + room)
    }

    pub(crate) fn body(&self) -> Bytes {
        self.packed.slice(self.reply.headers as usize..self.reply.body_end())
    }

    pub(crate) fn trailers(&self) -> Option<HeaderMap> {
        (self.reply.trailers > 0).then(|| unpack(self.packed.slice(self.reply.body_end()..), 0))
    }

    /// The same, announced in these headers: HTTP/1 sends only trailers that were.
    pub(crate) fn announced_trailers(&self, headers: &mut HeaderMap) -> Option<HeaderMap> {
        let trailers = self.trailers()?;
        let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
            headers.insert(header::TRAILER, names);
        }
        Some(trailers)
    }
}

// Headers are packed field by field: what the name is, the length of the value, name, value. A usual name is its
// number, so that it need not be looked at again; any other is its length, and follows. A value marked as sensitive,
// and so kept out of logs and of HTTP/2's compression tables, stays so.

const LENGTHS: usize = 2 + 4;
const USUAL: u16 = 1 << 15;
const SENSITIVE: u32 = 1 << 31;

static USUAL_NAMES: [HeaderName; 20] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::DATE,
    header::LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::VARY,
    header::CONTENT_ENCODING,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::EXPIRES,
    header::SERVER,
    header::SET_COOKIE,
    header::LINK,
    header::RETRY_AFTER,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::STRICT_TRANSPORT_SECURITY,
    header::X_CONTENT_TYPE_OPTIONS,
];

/// The number of a usual name.
fn usual(name: &HeaderName) -> Option<u16> {
    USUAL_NAMES.iter().zip(USUAL..).find_map(|(usual, number)| (usual == name).then_some(number))
}

pub(super) fn packed_size(headers: &HeaderMap) -> usize {
    let name = |name: &HeaderName| if usual(name).is_some() { 0 } else { name.as_str().len() };
    headers.iter().map(|(field, value)| LENGTHS + name(field) + value.len()).sum()
}

pub(super) fn pack(headers: &HeaderMap, packed: &mut Vec<u8>) -> Option<()> {
    for (name, value) in headers {
        let (number, name) = match usual(name) {
            Some(number) => (number, ""),
            None => (u16::try_from(name.as_str().len()).ok().filter(|length| length & USUAL == 0)?, name.as_str()),
        };
        let length = u32::try_from(value.len()).ok().filter(|length| length & SENSITIVE == 0)?;
        let flag = if value.is_sensitive() { SENSITIVE } else { 0 };
        packed.extend_from_slice(&number.to_le_bytes());
        packed.extend_from_slice(&(length | flag).to_le_bytes());
        packed.extend_from_slice(name.as_bytes());
        packed.extend_from_slice(value.as_bytes());
    }
    Some(())
}

pub(super) fn unpack(mut packed: Bytes, capacity: usize) -> HeaderMap {
    // Many may share a name; for as many names a map could not make room.
    let mut headers = HeaderMap::with_capacity(capacity.min(1_024));
    while let Some((name, value)) = unpack_field(&mut packed) {
        headers.append(name, value);
    }
    headers
}

fn unpack_field(packed: &mut Bytes) -> Option<(HeaderName, HeaderValue)> {
    let number = packed.try_get_u16_le().ok()?;
    let length = packed.try_get_u32_le().ok()?;
    let name = match number.checked_sub(USUAL) {
        Some(usual) => USUAL_NAMES.get(usize::from(usual))?.clone(),
        None => HeaderName::from_bytes(&take(packed, number.into())?).ok()?,
    };
    let value = take(packed, (length & !SENSITIVE) as usize)?;
    let mut value = HeaderValue::from_maybe_shared(value).ok()?;
    value.set_sensitive(length & SENSITIVE != 0);
    Some((name, value))
}

fn take(packed: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= packed.len()).then(|| packed.split_to(length))
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
        assert_eq!(Given::of(&Arc::new(replied(204))).trailers(), None);
    }

    #[test]
    fn any_number_of_values_may_share_a_name() {
        let mut headers = HeaderMap::new();
        for _ in 0..30_000 {
            headers.append("set-cookie", HeaderValue::from_static("a=b"));
        }
        let reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &headers, 0).unwrap().build(None).unwrap();
        assert_eq!(Given::of(&Arc::new(reply)).headers(0), headers);
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
        let usual = (0..USUAL_NAMES.len()).prop_map(|number| USUAL_NAMES[number].as_str().to_owned());
        let name = prop_oneof!["[a-z][a-z0-9-]{0,20}", usual];
        let field = (name, proptest::collection::vec(32_u8..=126, 0..40), any::<bool>());
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
            let reply = Arc::new(reply);
            let given = Given::of(&reply);
            prop_assert_eq!(sensitive(&given.headers(0)), sensitive(&headers));
            prop_assert_eq!(given.headers(3), headers);
            prop_assert_eq!(given.trailers().unwrap_or_default(), trailers);
            prop_assert_eq!(given.body(), body.concat());
        }
    }
}
