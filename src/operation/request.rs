//! The request of a durable operation, as it is kept until the operation has ended.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};

/// A whole request: what any replica needs to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRequest {
    /// Its method.
    pub method: Method,
    /// Its target as the service saw it.
    pub uri: Uri,
    /// Its headers, less those that [identify its sender](Self::new).
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl StoredRequest {
    /// A request without its credentials: `Authorization`, `Cookie` and `Proxy-Authorization` are left out (R10).
    #[must_use]
    pub fn new(method: Method, uri: Uri, mut headers: HeaderMap, body: Bytes) -> Self {
        for credential in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
            headers.remove(credential);
        }
        Self { method, uri, headers, body }
    }
}
