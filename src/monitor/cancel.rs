//! Cancellation of a running operation, and forgetting of one that has ended.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use tokio::time::timeout;

use super::{Caller, MonitorBody, not_found, unavailable};
use crate::{hub::Cancel, operation::OperationId, store::StoreError};

/// How long to wait for what runs to stop. It stops at its next await, so only what blocks its thread takes longer;
/// then, or when a shutdown does not wait for it either, the answer is that it has been told to.
const STOP: Duration = Duration::from_secs(5);

/// `DELETE {id}`
pub(super) async fn cancel(caller: Caller, id: OperationId) -> Response<MonitorBody> {
    stop_or_forget(caller, id).await.unwrap_or_else(|error| unavailable(&error))
}

async fn stop_or_forget(caller: Caller, id: OperationId) -> Result<Response<MonitorBody>, StoreError> {
    let owner = caller.owner.as_ref();
    let watch = caller.hub.watchers.watch(id);
    Ok(match caller.hub.cancel(id, owner).await? {
        Cancel::Stopping { attempt } => match timeout(STOP, watch.stopped(attempt)).await {
            Ok(true) => empty(StatusCode::NO_CONTENT),
            Ok(false) | Err(_) => empty(StatusCode::ACCEPTED),
        },
        Cancel::Stopped => empty(StatusCode::NO_CONTENT),
        Cancel::Told => empty(StatusCode::ACCEPTED),
        Cancel::AlreadyEnded if caller.hub.forget(id, owner).await? => empty(StatusCode::NO_CONTENT),
        Cancel::AlreadyEnded | Cancel::Unknown => not_found(),
    })
}

fn empty(status: StatusCode) -> Response<MonitorBody> {
    let mut response = Response::new(MonitorBody::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
