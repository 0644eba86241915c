//! A call from a stored request: an attempt of a durable operation.

use std::{future::poll_fn, sync::Arc};

use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use tower_service::Service;

use super::{
    MapServiceError, Route, StoredBody,
    detach::{Call, Detachment},
};
use crate::{
    hub::{Admission, Hub},
    operation::StoredRequest,
    run::OperationHandle,
    store::Claimed,
    telemetry::Reason,
};

/// Says of a request that it is an operation already, so that the layer lets it pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay;

/// Runs the claimed operation in a task, by this service. `place` is kept for as long as its handler runs.
pub(crate) fn run_stored<S, RB, M>(
    hub: &Arc<Hub>,
    claimed: Claimed,
    admission: Admission,
    mut service: S,
    service_error: M,
    place: impl Send + 'static,
) where
    S: Service<Request<StoredBody>, Response = Response<RB>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    RB: Body + Send + 'static,
    M: MapServiceError<S::Error> + Send + 'static,
{
    let handle =
        claimed.terms.policy.handle.then(|| OperationHandle::claimed(Arc::clone(&hub.watchers), claimed.attempt));
    let mut request = request_of(claimed.request);
    if claimed.terms.policy.response_type.is_some() {
        // What some servers of gRPC insist on, and is not kept as it is of one transfer.
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    }
    request.extensions_mut().insert(UnderWay);
    if let Some(owner) = &claimed.owner {
        request.extensions_mut().insert(owner.clone());
    }
    if let Some(handle) = &handle {
        request.extensions_mut().insert(handle.clone());
    }
    let handler = async move {
        let _place = place;
        poll_fn(|context| service.poll_ready(context)).await?;
        service.call(request).await
    };
    let detachment = Detachment {
        call: Box::pin(Call::new(handler, service_error)),
        route: Arc::new(Route { hub: Arc::clone(hub), terms: claimed.terms }),
        handle,
        span: None,
        keeps_cookies: claimed.owner.is_some(),
        reason: Reason::Queued,
    };
    detachment.run(admission);
}

fn request_of(stored: StoredRequest) -> Request<StoredBody> {
    let StoredRequest { method, uri, headers, body } = stored;
    let mut request = Request::new(StoredBody::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}
