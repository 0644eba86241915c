//! Why the gateway itself answers, in place of the backend.

use std::{error::Error, io};

use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue},
};
use hyper_util::client::legacy;
use serde_json::json;
use tracing::{debug, warn};

/// There is no response from the backend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the request does not say for which one host it is")]
    Host,
    #[error("this is no forward proxy: it opens no tunnels")]
    Connect,
    #[error("the address cannot be passed on")]
    Address(#[source] hyper::http::Error),
    #[error("the backend cannot be reached")]
    Unreachable(#[source] legacy::Error),
    #[error("the backend could not be reached in time")]
    UnreachableInTime(#[source] legacy::Error),
    #[error("the backend did not reply in time")]
    Silent,
    #[error("the connection to the backend ended before its reply")]
    Broken(#[source] legacy::Error),
    #[error("the backend switched protocols without being asked to")]
    Switched,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Host | Self::Address(_) => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::Unreachable(_) | Self::Broken(_) | Self::Switched => StatusCode::BAD_GATEWAY,
            Self::UnreachableInTime(_) | Self::Silent => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Logs it, and makes a problem document (RFC 9457) of it that does not tell clients about the inside.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let status = self.status();
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => warn!(%status, source = self.source(), "{self}"),
            _ => debug!(%status, source = self.source(), "{self}"),
        }
        let document = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response = Response::new(document.to_string().into());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl From<legacy::Error> for Refusal {
    fn from(error: legacy::Error) -> Self {
        match error.is_connect() {
            true if ran_out_of_time(&error) => Self::UnreachableInTime(error),
            true => Self::Unreachable(error),
            false => Self::Broken(error),
        }
    }
}

fn ran_out_of_time(error: &legacy::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.any(|cause| cause.downcast_ref().is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut))
}
