//! What the layer answers to a gRPC call: an operation to a client that has asked for one, and to any other the
//! method's own reply or a status.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use prost::Name;
use tonic::{Code, Status, metadata::GRPC_CONTENT_TYPE};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Caller, framing};
use crate::{
    http::problem::Kind,
    layer::{ResponseBody, Route, accepted::Accepted, leaving::ask_again},
    longrunning::{
        message::{self, Encoding},
        messages::{Operation, operation::Result as Outcome},
        name, operation, status,
    },
    operation::{Given, OperationId, Reply},
    policy::Terms,
    store::Snapshot,
};

pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The answer to a call that became an operation a moment ago.
pub(in crate::layer) fn accepted(caller: Caller, accepted: &Accepted, route: &Route) -> Response<Bytes> {
    let (&Accepted { id, created, state, .. }, terms) = (accepted, &route.terms);
    let progress = accepted.progress.as_ref().map(|report| &report.progress);
    match caller.prefers_operation {
        true => told(operation::accepted(id, terms, state, created, progress)),
        false => goes_on(id, accepted.retry_after(terms)),
    }
}

/// The answer to a call that is an operation already, and has not ended.
pub(in crate::layer) fn pending(caller: Caller, snapshot: &Snapshot) -> Response<Bytes> {
    match caller.prefers_operation {
        true => told(operation::of(snapshot)),
        false => goes_on(snapshot.id, Accepted::of(snapshot).retry_after(&snapshot.terms)),
    }
}

fn told(operation: Operation) -> Response<Bytes> {
    match framing::framed(operation, None) {
        Ok(message) => {
            let mut response = Response::new(message);
            response.headers_mut().insert(header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
            response
        }
        Err(status) => status.into_http(),
    }
}

/// Ends a call whose client has not asked for an operation, and tells where its work goes on. Not as unavailable, which
/// clients take for leave to send the call again.
fn goes_on(id: OperationId, retry_after: u64) -> Response<Bytes> {
    let name = name::of(id);
    let mut details = ErrorDetails::with_retry_info(Some(Duration::from_secs(retry_after)));
    details.set_resource_info(Operation::full_name(), &name, "", "the call goes on as this operation");
    let mut status = Status::with_error_details(Code::DeadlineExceeded, format!("the call goes on as {name}"), details);
    if let Ok(name) = name.parse() {
        status.metadata_mut().insert("location", name);
    }
    status.into_http()
}

/// Turns a call away, for now.
pub(in crate::layer) fn unavailable(terms: &Terms) -> Response<Bytes> {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(ask_again(terms))));
    Status::with_error_details(Code::ResourceExhausted, Kind::Unavailable.title(), details).into_http()
}

/// Refuses what is wrong with a call.
pub(in crate::layer) fn refusal(kind: Kind) -> Response<Bytes> {
    status::of_call(status::of_problem(kind)).into_http()
}

/// The answer to a call that has ended with this reply under these terms: the operation, if that has not failed, to a
/// client that has asked for it; and else what the method has replied.
pub(in crate::layer) fn reply<RB, R>(
    caller: Caller,
    kept: &Arc<R>,
    terms: &Terms,
    operation: impl FnOnce() -> Operation,
) -> Response<ResponseBody<RB>>
where
    R: AsRef<Reply> + Send + Sync + 'static,
{
    let reply = (**kept).as_ref();
    let given = Given::of(kept);
    let (headers, trailers) = (given.headers(0), given.trailers());
    if let Some(absence) = status::of_absent_call(reply, &headers, trailers.as_ref()) {
        return status::of_call(absence).into_http();
    }
    match status::code_of(&headers, trailers.as_ref()) {
        Some(Code::Ok) if caller.prefers_operation => done(caller, headers, trailers, operation()),
        Some(_) => replay(caller, headers, given.body(), trailers, terms.policy.max_reply),
        // What stands in front of the service has answered, in HTTP, and its status is all that says how.
        None => {
            let mut response = respond(headers, given.body(), trailers);
            *response.status_mut() = reply.status();
            Ok(response)
        }
    }
    .unwrap_or_else(Status::into_http)
}

/// The operation in place of the method's own message. The metadata around that stay, and so does its encoding.
fn done<RB>(
    caller: Caller,
    mut headers: HeaderMap,
    trailers: Option<HeaderMap>,
    operation: Operation,
) -> Result<Response<ResponseBody<RB>>, Status> {
    // What cannot be read fails the call, as it has failed the operation.
    if let Some(Outcome::Error(error)) = operation.result {
        return Err(status::of_call(error));
    }
    let encoding = headers.get(GRPC_ENCODING).and_then(|name| caller.reads(name.as_bytes()));
    if encoding.is_none() {
        headers.remove(GRPC_ENCODING);
    }
    Ok(respond(headers, framing::framed(operation, encoding)?, trailers))
}

/// The method's own reply as it was sent, unless in an encoding that this client does not read and the layer does.
fn replay<RB>(
    caller: Caller,
    mut headers: HeaderMap,
    mut body: Bytes,
    trailers: Option<HeaderMap>,
    limit: usize,
) -> Result<Response<ResponseBody<RB>>, Status> {
    let name = headers.get(GRPC_ENCODING);
    let encoding = Encoding::named(name);
    let reads = name.is_some_and(|name| caller.reads(name.as_bytes()).is_some());
    if matches!(encoding, Encoding::Known(_)) && !reads && !body.is_empty() {
        body = framing::plain(&message::decode(body, encoding, limit)?)?;
        headers.remove(GRPC_ENCODING);
    }
    Ok(respond(headers, body, trailers))
}

fn respond<RB>(headers: HeaderMap, body: Bytes, trailers: Option<HeaderMap>) -> Response<ResponseBody<RB>> {
    let mut response = Response::new(ResponseBody::reply(body, trailers));
    *response.headers_mut() = headers;
    response
}

/// The body of an answer of the layer's own: where it has a message, there is nothing more to say.
pub(in crate::layer) fn body<RB>(message: Bytes) -> ResponseBody<RB> {
    const OK: HeaderValue = HeaderValue::from_static("0");
    let trailers = (!message.is_empty()).then(|| HeaderMap::from_iter([(Status::GRPC_STATUS, OK)]));
    ResponseBody::reply(message, trailers)
}
