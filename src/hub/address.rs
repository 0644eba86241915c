//! Where clients find an operation.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

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
    /// What stands before the base path for the sender of this request: nothing, the public URL, or what trusted
    /// proxies say.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Option<Box<str>> {
        let forwarded = self.trust_forwarded.then(|| forwarded::origin(headers)).flatten();
        forwarded.map(String::into_boxed_str)
    }

    pub(crate) fn address(&self, origin: Option<&str>, id: OperationId) -> Address {
        let origin = self.public_url.as_deref().or(origin).unwrap_or_default();
        let length = origin.len() + self.base_path.len() + 1 + id::TEXT_LENGTH + STATUS.len();
        let mut status = Vec::with_capacity(length);
        status.put_slice(origin.as_bytes());
        status.put_slice(self.base_path.as_bytes());
        status.put_u8(b'/');
        status.put_slice(id.encode(&mut [0; id::TEXT_LENGTH]).as_bytes());
        status.put_slice(STATUS.as_bytes());
        Address { status: status.into() }
    }
}

impl Address {
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
        // Of the same length, so the monitor's part is where it was.
        let mut result = BytesMut::from(&self.status[..self.status.len() - STATUS.len()]);
        result.put_slice(RESULT.as_bytes());
        value(result.freeze())
    }
}

fn value(address: Bytes) -> HeaderValue {
    // Base path and public URL are checked when the hub is built, forwarded origins when they are read.
    HeaderValue::from_maybe_shared(address).unwrap_or(HeaderValue::from_static("/"))
}
