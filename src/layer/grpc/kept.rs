//! How a gRPC reply is kept: as it is, frames and all, but under the HTTP status that says how the call has ended, by
//! which stores and monitors tell success from failure.

use http::{HeaderMap, Response, StatusCode, header, response};
use tonic::Code;

use super::answer::GRPC_ENCODING;
use crate::{
    layer::submission::is_call,
    longrunning::{
        message::{self, Encoding, Fault},
        status::{code_in, http_status},
    },
    policy::Policy,
};

/// What the head of a reply says of how its call has ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::layer) struct CallHead {
    http: StatusCode,
    /// In the head of a reply without a message.
    grpc: Option<Code>,
    encoding: Encoding,
}

impl CallHead {
    /// `None` where it is of no call: neither was one asked for, nor is it answered like one.
    pub(in crate::layer) fn of(policy: &Policy, head: &response::Parts) -> Option<Self> {
        let is_like_one = || head.headers.get(header::CONTENT_TYPE).is_some_and(is_call);
        (policy.response_type.is_some() || is_like_one()).then(|| Self {
            http: head.status,
            grpc: code_in(&head.headers),
            encoding: Encoding::named(head.headers.get(GRPC_ENCODING)),
        })
    }

    /// The status under which the reply is kept. `None` where its message is larger than the limit: it may be a small
    /// body that is compressed.
    pub(in crate::layer) fn kept_status(
        self,
        trailers: Option<&HeaderMap>,
        body: &[u8],
        limit: usize,
    ) -> Option<StatusCode> {
        Some(match trailers.and_then(code_in).or(self.grpc) {
            Some(Code::Ok) => match message::check(body, self.encoding, limit) {
                Ok(()) => StatusCode::OK,
                Err(Fault::TooLarge) => return None,
                // Whoever reads it will say so.
                Err(Fault::Malformed) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Some(code) => http_status(code),
            // What stands in front of the service may have answered, in HTTP.
            None if self.http.as_u16() >= 400 => self.http,
            None => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }
}

/// Whether the call has failed already: by its status, or before it came to the service, in HTTP.
pub(super) fn has_failed<B>(response: &Response<B>) -> bool {
    code_in(response.headers()).map_or(response.status() != StatusCode::OK, |code| code != Code::Ok)
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

    const MESSAGE: &[u8] = b"\0\0\0\0\x03abc";

    fn kept(status: u16, head: Option<&[u8]>, trailers: Option<&[u8]>) -> u16 {
        let (mut parts, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
        parts.headers = fields(head);
        let policy = Policy::new().response_type("studio.v1.Picture");
        CallHead::of(&policy, &parts).unwrap().kept_status(Some(&fields(trailers)), MESSAGE, 3).unwrap().as_u16()
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

    #[test]
    fn what_is_answered_in_grpc_is_judged_so_whoever_asked() {
        let head = |content_type: &str| {
            let builder = Response::builder().header("content-type", content_type).header("grpc-status", "5");
            CallHead::of(&Policy::new(), &builder.body(()).unwrap().into_parts().0)
        };
        let status = |head: CallHead| head.kept_status(None, b"", 3).map(|status| status.as_u16());
        for grpc in ["application/grpc", "application/grpc+proto", "Application/gRPC ; charset=utf-8"] {
            assert_eq!(head(grpc).and_then(status), Some(404), "{grpc}");
        }
        for other in ["application/json", "application/grpc-web", "application/grpc+json"] {
            assert!(head(other).is_none(), "{other}");
        }
    }

    #[test]
    fn only_one_message_that_is_not_too_large_is_a_success() {
        let (parts, ()) = Response::new(()).into_parts();
        let head = CallHead::of(&Policy::new().response_type("studio.v1.Picture"), &parts).unwrap();
        let ok = fields(Some(b"0"));
        let status = |body, limit| head.kept_status(Some(&ok), body, limit).map(|status| status.as_u16());
        assert_eq!((status(MESSAGE, 3), status(MESSAGE, 2)), (Some(200), None));
        for body in [&b""[..], &MESSAGE[..7], &[MESSAGE, MESSAGE].concat()] {
            assert_eq!(status(body, 99), Some(500), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn only_ok_is_a_success(code in prop::collection::vec(33_u8..=126, 0..4), in_head in any::<bool>()) {
            let (head, trailers) = if in_head { (Some(&code[..]), None) } else { (None, Some(&code[..])) };
            prop_assert_eq!(kept(200, head, trailers) < 400, code == b"0");
        }
    }
}
