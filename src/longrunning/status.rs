//! How calls and operations fail: `google.rpc.Status`, and what it is as a status of HTTP.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt, pb};

use crate::{
    http::problem,
    hub::absence,
    operation::{Ending, Reply},
};

const DETAILS: &str = "grpc-status-details-bin";

/// The HTTP status that stands for a code, as google.rpc.Code has it.
pub(crate) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// The code that stands for an HTTP status.
pub(super) fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        ..400 => Code::Ok,
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::Aborted,
        416 => Code::OutOfRange,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        402..500 => Code::FailedPrecondition,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        500.. => Code::Internal,
    }
}

/// The code that a reply ended with, where these fields of its header or its trailers say it.
pub(crate) fn code_in(fields: &HeaderMap) -> Option<Code> {
    fields.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// The code that stands for an HTTP status in a reply that has no code of its own, as the gRPC project has it.
fn inferred(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// What a reply under this HTTP status ended with, as a status with its details.
pub(super) fn of_reply(http: StatusCode, headers: &HeaderMap, trailers: Option<&HeaderMap>) -> pb::Status {
    let Some((code, fields)) = said(headers, trailers) else {
        let message = match inferred(http) {
            Code::Unknown => "the reply has no grpc-status".into(),
            _ => format!("the reply has no grpc-status, but the HTTP status {http}"),
        };
        return pb::Status { code: inferred(http).into(), message, details: vec![] };
    };
    let mut metadata = MetadataMap::from_headers(fields.clone());
    let details = metadata.remove_bin(DETAILS).and_then(|details| details.to_bytes().ok());
    let details = details.and_then(|details| pb::Status::decode(details).ok()).unwrap_or_default().details;
    // Without the details, which it takes for granted to be well-formed.
    let status = Status::from_header_map(&metadata.into_headers());
    let message = status.map(|status| status.message().to_owned()).unwrap_or_default();
    pb::Status { code: code.into(), message, details }
}

/// The code that a reply ended with, where it says so.
pub(crate) fn code_of(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Option<Code> {
    said(headers, trailers).map(|(code, _)| code)
}

fn said<'a>(headers: &'a HeaderMap, trailers: Option<&'a HeaderMap>) -> Option<(Code, &'a HeaderMap)> {
    let said = |fields: &'a HeaderMap| code_in(fields).map(|code| (code, fields));
    trailers.and_then(said).or_else(|| said(headers))
}

/// Why a call has no reply of its handler. `None` where it has one, or where what stands in for it says how it ended.
pub(crate) fn of_absent_call(reply: &Reply, headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Option<pb::Status> {
    let stands_in = !reply.is_empty() && code_of(headers, trailers).is_some_and(|code| code != Code::Ok);
    of_absence(reply.ending()).filter(|_| !stands_in)
}

/// Why an operation has no reply of its handler. `None` where it has one.
pub(super) fn of_absence(ending: Ending) -> Option<pb::Status> {
    absence(ending).map(|kind| match ending {
        Ending::Canceled => pb::Status { code: Code::Cancelled.into(), ..of_problem(kind) },
        _ => of_problem(kind),
    })
}

/// What is a problem of this kind over HTTP.
pub(crate) fn of_problem(kind: problem::Kind) -> pb::Status {
    pb::Status { code: code(kind.status()).into(), message: kind.title().into(), details: vec![info(kind)] }
}

/// The status of a call that ends so; never as unavailable, which clients take for leave to send it again.
pub(crate) fn of_call(mut status: pb::Status) -> Status {
    let code = match Code::from(status.code) {
        Code::Unavailable => Code::Aborted,
        code => code,
    };
    status.code = code.into();
    let details = status.encode_to_vec().into();
    Status::with_details(code, status.message, details)
}

fn info(kind: problem::Kind) -> Any {
    let reason = kind.name().to_ascii_uppercase().replace('-', "_");
    any("google.rpc.ErrorInfo", &pb::ErrorInfo { reason, domain: "tower-respond-async".into(), metadata: [].into() })
}

/// The one answer to unknown, expired and other owners' operations.
pub(super) fn not_found() -> Status {
    Status::not_found(problem::Kind::NotFound.title())
}

/// The store does not answer, so it is to be asked again.
pub(super) fn unavailable() -> Status {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::Unavailable, problem::Kind::Unavailable.title(), details)
}

/// A message under its full name.
pub(super) fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: type_url(name), value: message.encode_to_vec() }
}

/// The URL of a message type.
pub(super) fn type_url(name: &str) -> String {
    ["type.googleapis.com/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_http_statuses() {
        let statuses: Vec<_> = (0..=16).map(|code| http_status(Code::from_i32(code)).as_u16()).collect();
        assert_eq!(statuses, [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]);
    }

    #[test]
    fn no_call_ends_as_unavailable() {
        for number in 0..=16 {
            let details = vec![info(problem::Kind::Unavailable)];
            let status = of_call(pb::Status { code: number, message: "why".into(), details: details.clone() });
            let expected = if number == 14 { Code::Aborted } else { Code::from_i32(number) };
            let said = pb::Status::decode(status.details()).unwrap();
            assert_eq!((status.code(), status.message()), (expected, "why"));
            assert_eq!((said.code, said.details), (expected.into(), details));
        }
    }

    #[test]
    fn http_statuses_have_their_codes() {
        for status in 100..1_000 {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(code(status) == Code::Ok, status.as_u16() < 400, "{status}");
        }
        for (status, expected) in [(402, Code::FailedPrecondition), (409, Code::Aborted), (502, Code::Internal)] {
            assert_eq!(code(StatusCode::from_u16(status).unwrap()), expected);
        }
        // Of several codes that share a status, one stands for it.
        for number in [0, 1, 3, 4, 5, 7, 8, 10, 12, 13, 14, 16] {
            let expected = Code::from_i32(number);
            assert_eq!(code(http_status(expected)), expected);
        }
    }
}
