//! The answer to a request that was detached: `202 Accepted` (RFC 9110, section 15.3.3).

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{Route, client::Client};
use crate::{
    http::{prefer::PREFERENCE_APPLIED, retry_after},
    hub::{Address, Document},
    operation::{OperationId, Report, State, Timestamp},
    policy::Terms,
    store::Snapshot,
};

const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");

/// An operation that was accepted a moment ago.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) id: OperationId,
    pub(super) created: Timestamp,
    pub(super) state: State,
    pub(super) progress: Option<Report>,
}

/// The value of `Vary` on all answers to requests that might be detached.
pub(super) const BY_PREFERENCE: HeaderValue = HeaderValue::from_static("prefer");

/// The fields that all these answers have, of which some are filled in: less than half the work of inserting each.
static HEADER: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::LOCATION, TO_FILL_IN),
        (OPERATION_LOCATION, TO_FILL_IN),
        (header::RETRY_AFTER, TO_FILL_IN),
        (header::VARY, BY_PREFERENCE),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ])
});
const TO_FILL_IN: HeaderValue = HeaderValue::from_static("");

/// About what a status document without a message takes.
const DOCUMENT_LENGTH: usize = 160;

impl Accepted {
    pub(super) fn running(id: OperationId, created: Timestamp) -> Self {
        Self { id, created, state: State::Running, progress: None }
    }

    /// One that waits for whoever has room for it.
    pub(super) fn queued(id: OperationId, created: Timestamp) -> Self {
        Self { state: State::Queued, ..Self::running(id, created) }
    }

    /// One that was accepted before.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let Snapshot { id, created, progress, .. } = snapshot;
        Self { id: *id, created: *created, state: snapshot.state(), progress: progress.clone() }
    }

    pub(super) fn response(&self, route: &Route, client: &Client) -> Response<Bytes> {
        let settings = &route.hub.settings;
        let origin = client.origin.as_deref();
        // All that is written for this answer is written into one piece of memory.
        let mut written = Vec::with_capacity(settings.address_length(origin) + DOCUMENT_LENGTH);
        settings.write_address(origin, self.id, &mut written);
        let address_length = written.len();
        self.document().write_to(&mut written);
        let mut address = Bytes::from(written);
        let document = address.split_off(address_length);
        let address = Address::written(address);

        let mut response = Response::new(document);
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        *headers = HEADER.clone();
        for (name, value) in headers.iter_mut() {
            if name == header::LOCATION {
                *value = address.monitor();
            } else if name == OPERATION_LOCATION {
                *value = address.status();
            } else if name == header::RETRY_AFTER {
                *value = retry_after::value(self.retry_after(&route.terms));
            }
        }
        if let Some(applied) = client.patience.applied() {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        response
    }

    fn document(&self) -> Document<'_> {
        Document {
            id: self.id,
            state: self.state,
            created: self.created,
            progress: self.progress.as_ref().map(|report| &report.progress),
            failed_attempts: &[],
            end: None,
        }
    }

    pub(super) fn retry_after(&self, terms: &Terms) -> u64 {
        let expected = terms.history.expected_remaining(Duration::ZERO);
        retry_after::seconds(expected, Duration::ZERO, self.id.noise())
    }
}
