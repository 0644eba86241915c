//! Cancellation of a running operation, and forgetting of one that has ended.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use tokio::time::timeout;

use super::{Caller, MonitorBody, not_found};
use crate::{operation::OperationId, store::Cancellation};

/// How long to wait for what runs to stop. It stops at its next await, so only what blocks its thread takes longer;
/// then, or when a shutdown does not wait for it either, the answer is that it has been told to.
const STOP: Duration = Duration::from_secs(5);

/// `DELETE {id}`
pub(super) async fn cancel(caller: Caller, id: OperationId) -> Response<MonitorBody> {
    let watch = caller.hub.watchers.watch(id);
    match caller.hub.cancel(id, caller.owner.as_ref()) {
        Cancellation::Canceled(_) => match timeout(STOP, watch.stopped()).await {
            Ok(true) => empty(StatusCode::NO_CONTENT),
            Ok(false) | Err(_) => empty(StatusCode::ACCEPTED),
        },
        Cancellation::AlreadyEnded if caller.hub.store.forget(id, caller.owner.as_ref()) => {
            empty(StatusCode::NO_CONTENT)
        }
        Cancellation::AlreadyEnded | Cancellation::Unknown => not_found(),
    }
}

fn empty(status: StatusCode) -> Response<MonitorBody> {
    let mut response = Response::new(MonitorBody::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
