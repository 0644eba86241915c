//! How a gRPC reply is kept: as it is, frames and all, but under the HTTP status that says how the call has ended, by
//! which stores and monitors tell success from failure.

use http::{HeaderMap, StatusCode, response};
use tonic::Code;

use crate::{
    longrunning::status::{code_in, http_status},
    policy::Policy,
};

/// What the head of a reply says of how its call has ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::layer) struct CallHead {
    http: StatusCode,
    /// In the head of a reply without a message.
    grpc: Option<Code>,
}

impl CallHead {
    /// `None` where it is no call.
    pub(in crate::layer) fn of(policy: &Policy, head: &response::Parts) -> Option<Self> {
        policy.response_type.as_ref().map(|_| Self { http: head.status, grpc: code_in(&head.headers) })
    }

    /// The status under which the reply is kept.
    pub(in crate::layer) fn kept_status(self, trailers: Option<&HeaderMap>) -> StatusCode {
        match trailers.and_then(code_in).or(self.grpc) {
            Some(code) => http_status(code),
            // What stands in front of the service may have answered, in HTTP.
            None if self.http.as_u16() >= 400 => self.http,
            None => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Whether the call has failed already.
pub(in crate::layer) fn has_failed(head: &HeaderMap) -> bool {
    code_in(head).is_some_and(|code| code != Code::Ok)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response};
    use proptest::prelude::*;
    use tonic::Status;

    use super::*;

    fn fields(code: Option<&[u8]>) -> HeaderMap {
        code.map(|code| (Status::GRPC_STATUS, HeaderValue::from_bytes(code).unwrap())).into_iter().collect()
    }

    fn kept(status: u16, head: Option<&[u8]>, trailers: Option<&[u8]>) -> u16 {
        let (mut parts, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
        parts.headers = fields(head);
        let policy = Policy::new().response_type("studio.v1.Picture");
        CallHead::of(&policy, &parts).unwrap().kept_status(Some(&fields(trailers))).as_u16()
    }

    #[test]
    fn the_calls_end_decides() {
        assert_eq!(kept(200, None, Some(b"0")), 200);
        assert_eq!(kept(200, Some(b"0"), None), 200);
        assert_eq!(kept(200, Some(b"5"), None), 404);
        assert_eq!(kept(200, None, Some(b"14")), 503);
        assert_eq!(kept(200, Some(b"0"), Some(b"3")), 400, "the trailers come last");
    }

    #[test]
    fn a_call_without_an_end_has_failed() {
        assert_eq!(kept(200, None, None), 500);
        assert_eq!(kept(204, None, None), 500);
        assert_eq!(kept(502, None, None), 502, "a proxy's answer");
    }

    proptest! {
        #[test]
        fn only_ok_is_a_success(code in prop::collection::vec(33_u8..=126, 0..4), in_head in any::<bool>()) {
            let (head, trailers) = if in_head { (Some(&code[..]), None) } else { (None, Some(&code[..])) };
            prop_assert_eq!(kept(200, head, trailers) < 400, code == b"0");
        }
    }
}
