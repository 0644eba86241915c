//! The errors this crate answers with: RFC 9457 problem documents.
//!
//! Every one is `application/problem+json` with the members `type`, `title`, `status` and, where
//! there is more to say, `detail`. The `type` is stable: it is the address of the matching heading
//! below. So is the name in it, which status documents use as the error code of an operation that
//! ended without the handler's reply.
//!
//! ```
//! use tower_respond_async::problem::{Kind, Problem};
//!
//! let response = Problem::new(Kind::NotFound).detail("it has expired").into_response();
//! assert_eq!(response.status(), 404);
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//! ```
//!
//! The status monitor's own errors:
//!
//! # not-found
//!
//! Status 404. There is no such operation: it never was, it has expired, it was deleted, or it
//! belongs to someone else. The answer is the same in all of these cases, so that it gives nothing
//! away.
//!
//! # operation-pending
//!
//! Status 404. The operation exists but has not finished, so there is no result yet. `Retry-After`
//! says when to ask again.
//!
//! # method-not-allowed
//!
//! Status 405. The resource does not know this method. `Allow` lists those it knows.
//!
//! # bad-request
//!
//! Status 400. The query could not be read.
//!
//! # precondition-failed
//!
//! Status 412. The reply is not the one that `If-Match` or `If-Unmodified-Since` asks for.
//!
//! # range-not-satisfiable
//!
//! Status 416. No byte of the reply is in the range asked for. `Content-Range` gives its length.
//!
//! # idempotency-key-malformed
//!
//! Status 400. `Idempotency-Key` is not one string in quotes, of 1 to 255 printable characters.
//!
//! # idempotency-key-reused
//!
//! Status 422. Another request came under the same `Idempotency-Key` before.
//!
//! # unavailable
//!
//! Status 503. There is no capacity for another operation now, or the store of the operations does not answer.
//! `Retry-After` says when to ask again.
//!
//! Why an operation has no reply of its handler's:
//!
//! # canceled
//!
//! Status 410. It was canceled before it finished.
//!
//! # panicked
//!
//! Status 500. Its handler panicked.
//!
//! # service-error
//!
//! Status 502. Its service, or the body of its response, failed with an error instead of a whole
//! response.
//!
//! # timed-out
//!
//! Status 504. It ran longer than an operation may.
//!
//! # lost
//!
//! Status 500. The process that ran it died, and it may not be run again.
//!
//! # reply-too-large
//!
//! Status 500. Its reply was larger than a kept reply may be.
//!
//! # interrupted
//!
//! Status 503. The server shut down before it finished.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::json;

macro_rules! kinds {
    ($($(#[$documentation:meta])+ $kind:ident = $name:literal, $status:ident, $title:literal;)+) => {
        /// What went wrong. The [module's](self) headings say more about each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$documentation])+ $kind,)+
        }

        impl Kind {
            /// Every kind, in the order of the headings.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The stable name, in kebab case, such as `operation-pending`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// The stable `type` of RFC 9457: a URI that ends in the [name](Self::name).
            #[must_use]
            pub const fn type_uri(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!(
                        "https://docs.rs/tower-respond-async/latest/tower_respond_async/problem/index.html#", $name,
                    ),)+
                }
            }

            /// The status of a response of this kind.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Self::$kind => StatusCode::$status,)+
                }
            }

            /// A short summary in English, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$kind => $title,)+
                }
            }
        }
    };
}

kinds! {
    /// There is no such operation, or not for this caller.
    NotFound = "not-found", NOT_FOUND, "There is no such operation";
    /// The operation has not finished.
    OperationPending = "operation-pending", NOT_FOUND, "The operation has not finished";
    /// The resource does not know the method.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    /// The query could not be read.
    BadRequest = "bad-request", BAD_REQUEST, "The request is malformed";
    /// The reply is not the one that the request's conditions ask for.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "The reply is another one than expected";
    /// No byte of the reply is in the range asked for.
    RangeNotSatisfiable = "range-not-satisfiable", RANGE_NOT_SATISFIABLE, "The reply has no such range";
    /// The key is not one string in quotes.
    IdempotencyKeyMalformed = "idempotency-key-malformed", BAD_REQUEST, "The idempotency key is malformed";
    /// The key is taken by another request.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The idempotency key belongs to another request";
    /// There is no capacity for another operation, or the store does not answer.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Operations are not available now";
    /// The operation was canceled.
    Canceled = "canceled", GONE, "The operation was canceled";
    /// The handler panicked.
    Panicked = "panicked", INTERNAL_SERVER_ERROR, "The operation panicked";
    /// The service failed with an error instead of a whole response.
    ServiceError = "service-error", BAD_GATEWAY, "The operation failed without a reply";
    /// The operation ran longer than it may.
    TimedOut = "timed-out", GATEWAY_TIMEOUT, "The operation took too long";
    /// The process died and the operation may not be run again.
    Lost = "lost", INTERNAL_SERVER_ERROR, "The operation was lost";
    /// The reply was too large to be kept.
    ReplyTooLarge = "reply-too-large", INTERNAL_SERVER_ERROR, "The reply was too large to keep";
    /// The server shut down first.
    Interrupted = "interrupted", SERVICE_UNAVAILABLE, "The operation was interrupted by a shutdown";
}

/// One problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
}

impl Problem {
    /// A problem without a detail.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, detail: None }
    }

    /// Says, in English, what is special about this occurrence. The client sees it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The document itself.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let detail = self.detail.as_deref();
        let mut document = Vec::with_capacity(256 + detail.map_or(0, str::len));
        json::object(&mut document, |it| {
            it.string("type", self.kind.type_uri());
            it.string("title", self.kind.title());
            it.integer("status", self.kind.status().as_u16().into());
            if let Some(detail) = detail {
                it.string("detail", detail);
            }
        });
        document.into()
    }

    /// The document as a response that no cache may keep.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.to_json());
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_kind_has_its_heading_in_order() {
        let headings: Vec<_> =
            include_str!("problem.rs").lines().filter_map(|line| line.strip_prefix("//! # ")).collect();
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names, headings);
    }

    #[test]
    fn the_document_has_the_members_of_the_rfc() {
        let mut response = Problem::new(Kind::OperationPending).into_response();
        let uri = "https://docs.rs/tower-respond-async/latest/tower_respond_async/problem/index.html#operation-pending";
        let expected = json!({ "type": uri, "title": "The operation has not finished", "status": 404 });
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers_mut().remove("content-type").unwrap(), "application/problem+json");
        assert_eq!(response.headers_mut().remove("cache-control").unwrap(), "no-store");
        assert!(response.headers().is_empty());
        assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap(), expected);
    }

    #[test]
    fn a_detail_is_escaped() {
        let document = Problem::new(Kind::BadRequest).detail("no \"page\"\n").to_json();
        assert_eq!(serde_json::from_slice::<Value>(&document).unwrap()["detail"], "no \"page\"\n");
    }

    #[test]
    fn the_statuses() {
        let statuses: Vec<_> = Kind::ALL.iter().map(|kind| kind.status().as_u16()).collect();
        assert_eq!(statuses, [404, 404, 405, 400, 412, 416, 400, 422, 503, 410, 500, 502, 504, 500, 500, 503]);
    }
}
