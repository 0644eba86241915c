//! What the layer reads from a request before its service gets it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    http::{
        idempotency_key::IDEMPOTENCY_KEY,
        prefer::{self, PREFER, Preferences},
    },
    policy::Policy,
    telemetry::Reason,
};

/// How long the client waits in line, and which of its preferences decided that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// Without one, the request is not detached.
    pub(super) budget: Option<Duration>,
    respond_async: bool,
    wait: Option<Duration>,
}

impl Patience {
    #[inline]
    pub(super) fn of(policy: &Policy, noted: Noted, headers: &HeaderMap) -> Self {
        if noted.prefers {
            Self::preferred(policy, headers)
        } else {
            Self { budget: policy.budget, respond_async: false, wait: None }
        }
    }

    fn preferred(policy: &Policy, headers: &HeaderMap) -> Self {
        let preferences = Preferences::from_headers(headers);
        let respond_async = preferences.respond_async && policy.honor_respond_async;
        let wait = preferences.wait.filter(|_| policy.honor_wait).map(|wait| wait.min(policy.longest_wait));
        let budget = match (wait, respond_async) {
            (Some(wait), _) => Some(wait),
            (None, true) => Some(policy.budget.map_or(policy.grace, |budget| budget.min(policy.grace))),
            (None, false) => policy.budget,
        };
        Self { budget, respond_async, wait }
    }

    pub(super) fn reason(&self) -> Reason {
        if self.respond_async || self.wait.is_some() { Reason::Preference } else { Reason::Budget }
    }

    /// Whether the client has asked for an operation, and gets one.
    #[cfg(feature = "grpc")]
    pub(super) fn prefers_operation(&self) -> bool {
        self.respond_async
    }

    /// `Preference-Applied`, once the request has been detached.
    pub(super) fn applied(&self) -> Option<HeaderValue> {
        prefer::applied(self.respond_async, self.wait)
    }
}

/// What a request's headers say that matters here, found in one pass: most say nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) prefers: bool,
    /// It has an idempotency key.
    pub(super) is_keyed: bool,
    /// The client waits to be told that it may send its body (RFC 9110, section 10.1.1).
    pub(super) expects: bool,
    /// It is more than one request and one reply, and so must not be touched (R13).
    pub(super) exchanges: bool,
    /// It is a gRPC call whose messages are of Protocol Buffers, and not for a browser (gRPC-Web).
    #[cfg(feature = "grpc")]
    pub(super) is_call: bool,
}

impl Noted {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let mut noted = Self { exchanges: method == Method::CONNECT, ..Self::default() };
        for (name, value) in headers {
            if name == header::CONTENT_TYPE {
                noted.says_content_type(value);
            } else if name == header::UPGRADE {
                noted.exchanges = true;
            } else if name == header::EXPECT {
                noted.expects = true;
            } else if name == PREFER {
                noted.prefers = true;
            } else if name == IDEMPOTENCY_KEY {
                noted.is_keyed = true;
            }
        }
        noted
    }

    fn says_content_type(&mut self, content_type: &HeaderValue) {
        let is_grpc = is_grpc(content_type);
        self.exchanges |= is_grpc;
        #[cfg(feature = "grpc")]
        {
            self.is_call = is_grpc && is_call(content_type);
        }
    }
}

/// Whether this is of gRPC's own messages, in Protocol Buffers.
#[cfg(feature = "grpc")]
pub(super) fn is_call(content_type: &HeaderValue) -> bool {
    const GRPC: [&[u8]; 2] = [b"application/grpc", b"application/grpc+proto"];
    let content_type = content_type.as_bytes();
    let of_type = |media_type: &[u8]| GRPC.iter().any(|grpc| media_type.eq_ignore_ascii_case(grpc));
    of_type(content_type)
        || content_type
            .split(|&byte| byte == b';')
            .next()
            .is_some_and(|media_type| of_type(media_type.trim_ascii_end()))
}

fn is_grpc(content_type: &HeaderValue) -> bool {
    let Some((start, _)) = content_type.as_bytes().split_first_chunk::<16>() else { return false };
    // Its end first, in which it differs from the others.
    start[12..].eq_ignore_ascii_case(b"grpc") && start[..12].eq_ignore_ascii_case(b"application/")
}
