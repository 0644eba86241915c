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

/// The address of an operation that was accepted: its status monitor, and below it the status document. Both are slices
/// of one piece of memory.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    status: Bytes,
}

/// Where clients find an operation, to be written where it is needed. It holds nothing that JSON would have to escape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    before: &'a str,
    base_path: &'a str,
    id: OperationId,
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

    pub(crate) fn place<'a>(&'a self, origin: Option<&'a str>, id: OperationId) -> Place<'a> {
        Place { before: self.before(origin), base_path: &self.base_path, id }
    }

    pub(crate) fn address_length(&self, origin: Option<&str>) -> usize {
        self.before(origin).len() + self.base_path.len() + 1 + id::TEXT_LENGTH + STATUS.len()
    }

    /// Writes what [`Address::written`] takes.
    pub(crate) fn write_address(&self, origin: Option<&str>, id: OperationId, buffer: &mut Vec<u8>) {
        self.place(origin, id).write(buffer);
        buffer.extend_from_slice(STATUS.as_bytes());
    }

    fn before<'a>(&'a self, origin: Option<&'a str>) -> &'a str {
        self.public_url.as_deref().or(origin).unwrap_or_default()
    }
}

impl Place<'_> {
    /// How many bytes [`write`](Self::write) writes.
    pub(crate) fn length(&self) -> usize {
        self.before.len() + self.base_path.len() + 1 + id::TEXT_LENGTH
    }

    /// The status monitor: `{base}/{id}`.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.before.as_bytes());
        buffer.extend_from_slice(self.base_path.as_bytes());
        buffer.push(b'/');
        buffer.extend_from_slice(self.id.encode(&mut [0; id::TEXT_LENGTH]).as_bytes());
    }

    /// The reply: `{base}/{id}/result`.
    pub(crate) fn write_result(&self, buffer: &mut Vec<u8>) {
        self.write(buffer);
        buffer.extend_from_slice(RESULT.as_bytes());
    }

    pub(crate) fn result(&self) -> HeaderValue {
        let mut address = Vec::with_capacity(self.length() + RESULT.len());
        self.write_result(&mut address);
        value(address.into())
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
}

/// A value out of an address that was written here.
pub(crate) fn value(address: Bytes) -> HeaderValue {
    // Base path and public URL are checked when the hub is built, forwarded origins when they are read.
    HeaderValue::from_maybe_shared(address).unwrap_or(HeaderValue::from_static("/"))
}
