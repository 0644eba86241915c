//! The answer to a request that was detached: `202 Accepted` (RFC 9110, section 15.3.3).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{Route, future::Client};
use crate::{
    http::{prefer::PREFERENCE_APPLIED, retry_after},
    hub::Document,
    operation::{OperationId, Report, State, Timestamp},
    policy::Terms,
};

const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");

/// An operation that was accepted a moment ago.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) id: OperationId,
    pub(super) created: Timestamp,
    pub(super) progress: Option<Report>,
}

impl Accepted {
    pub(super) fn response(&self, route: &Route, client: &Client) -> Response<Bytes> {
        let address = route.hub.settings.address(client.origin.as_deref(), self.id);
        let mut response = Response::new(self.document().to_json());
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        *headers = HeaderMap::with_capacity(7);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::LOCATION, address.monitor());
        headers.insert(OPERATION_LOCATION, address.status());
        headers.insert(header::RETRY_AFTER, self.retry_after(&route.terms).into());
        headers.insert(header::VARY, HeaderValue::from_static("prefer"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(applied) = client.patience.applied() {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        response
    }

    fn document(&self) -> Document<'_> {
        Document {
            id: self.id,
            state: State::Running,
            created: self.created,
            progress: self.progress.as_ref().map(|report| &report.progress),
            end: None,
        }
    }

    fn retry_after(&self, terms: &Terms) -> u64 {
        let expected = terms.history.expected_remaining(Duration::ZERO);
        retry_after::seconds(expected, Duration::ZERO, self.id.noise())
    }
}
