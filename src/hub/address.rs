//! Where clients find an operation.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, uri::Authority};

use super::Settings;
use crate::{
    http::forwarded,
    operation::{OperationId, id},
};

const STATUS: &str = "/status";
const RESULT: &str = "/result";

/// The address of an operation: its status monitor, and below it the status document and the result. All are slices of
/// one piece of memory.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    status: Bytes,
}

impl Settings {
    /// What stands before the base path for the sender of this request, as far as trusted proxies say. Not looked for
    /// where the public URL says it.
    #[inline]
    pub(crate) fn origin(&self, uri: &Uri, headers: &HeaderMap) -> Option<Box<str>> {
        if !self.trust_forwarded || self.public_url.is_some() {
            return None;
        }
        forwarded::origin(headers, uri.authority().map(Authority::as_str)).map(String::into_boxed_str)
    }

    pub(crate) fn address(&self, origin: Option<&str>, id: OperationId) -> Address {
        let mut address = Vec::with_capacity(self.address_length(origin));
        self.write_address(origin, id, &mut address);
        Address::written(address.into())
    }

    pub(crate) fn address_length(&self, origin: Option<&str>) -> usize {
        self.before(origin).len() + self.base_path.len() + 1 + id::TEXT_LENGTH + STATUS.len()
    }

    /// Writes what [`Address::written`] takes.
    pub(crate) fn write_address(&self, origin: Option<&str>, id: OperationId, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.before(origin).as_bytes());
        buffer.extend_from_slice(self.base_path.as_bytes());
        buffer.push(b'/');
        buffer.extend_from_slice(id.encode(&mut [0; id::TEXT_LENGTH]).as_bytes());
        buffer.extend_from_slice(STATUS.as_bytes());
    }

    fn before<'a>(&'a self, origin: Option<&'a str>) -> &'a str {
        self.public_url.as_deref().or(origin).unwrap_or_default()
    }
}

impl Address {
    pub(crate) fn written(status: Bytes) -> Self {
        Self { status }
    }

    /// The status monitor: `{base}/{id}`.
    pub(crate) fn monitor(&self) -> HeaderValue {
        value(self.status.slice(..self.status.len() - STATUS.len()))
    }

    /// The status document: `{base}/{id}/status`.
    pub(crate) fn status(&self) -> HeaderValue {
        value(self.status.clone())
    }

    /// The reply: `{base}/{id}/result`.
    pub(crate) fn result(&self) -> HeaderValue {
        let monitor = &self.status[..self.status.len() - STATUS.len()];
        value([monitor, RESULT.as_bytes()].concat().into())
    }
}

fn value(address: Bytes) -> HeaderValue {
    // Base path and public URL are checked when the hub is built, forwarded origins when they are read.
    HeaderValue::from_maybe_shared(address).unwrap_or(HeaderValue::from_static("/"))
}
