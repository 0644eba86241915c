//! How an operation ended, as the result of a `google.longrunning.Operation`.

use std::sync::Arc;

use http::{StatusCode, header};
use prost::Name;
use prost_types::Any;
use tonic::Code;
use tonic_types::pb;

use super::{
    message::{self, Encoding},
    messages::{HttpBody, operation::Result},
    status,
};
use crate::{
    operation::{Given, Reply},
    policy::Policy,
};

const GRPC_ENCODING: &str = "grpc-encoding";

/// The result of an operation that has ended with this reply under this policy. A message of more than `max_message`
/// bytes is not read.
pub(super) fn of<R>(kept: &Arc<R>, policy: &Policy, max_message: usize) -> Result
where
    R: AsRef<Reply> + Send + Sync + 'static,
{
    let reply = (**kept).as_ref();
    match &policy.response_type {
        Some(response_type) => of_call(reply, &Given::of(kept), response_type, max_message),
        None => match status::of_absence(reply.ending()) {
            Some(absence) => Result::Error(absence),
            None => of_response(&Given::of(kept), reply.status()),
        },
    }
}

/// Of the reply of a unary method.
fn of_call(reply: &Reply, given: &Given<'_>, response_type: &str, max_message: usize) -> Result {
    let (headers, trailers) = (given.headers(0), given.trailers());
    if let Some(absence) = status::of_absent_call(reply, &headers, trailers.as_ref()) {
        return Result::Error(absence);
    }
    let status = status::of_reply(reply.status(), &headers, trailers.as_ref());
    if status.code != i32::from(Code::Ok) {
        return Result::Error(status);
    }
    match message::decode(given.body(), Encoding::named(headers.get(GRPC_ENCODING)), max_message) {
        Ok(value) => Result::Response(Any { type_url: status::type_url(response_type), value }),
        Err(error) => Result::Error(pb::Status {
            code: Code::Internal.into(),
            message: format!("the reply cannot be read: {}", error.message()),
            details: Vec::new(),
        }),
    }
}

/// Of a response over HTTP.
fn of_response(reply: &Given<'_>, status: StatusCode) -> Result {
    let content_type = reply.headers(0).remove(header::CONTENT_TYPE);
    let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let body =
        HttpBody { content_type: content_type.unwrap_or_default(), data: reply.body().into(), extensions: Vec::new() };
    let body = status::any(&HttpBody::full_name(), &body);
    match status::code(status) {
        Code::Ok => Result::Response(body),
        code => Result::Error(pb::Status {
            code: code.into(),
            message: status.canonical_reason().unwrap_or("The handler reported an error").into(),
            details: vec![body],
        }),
    }
}
