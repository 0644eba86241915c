//! What the layer reads from a request before its service gets it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, header, request};

use crate::{
    http::prefer::{self, Preferences},
    hub::Settings,
    operation::Owner,
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
    pub(super) fn of(policy: &Policy, headers: &HeaderMap) -> Self {
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

    /// `Preference-Applied`, once the request has been detached.
    pub(super) fn applied(&self) -> Option<HeaderValue> {
        prefer::applied(self.respond_async, self.wait)
    }
}

/// Whether the request is more than one request and one reply, and so must not be touched (R13).
pub(super) fn passes_through<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::CONNECT
        || headers.contains_key(header::UPGRADE)
        || headers.get(header::CONTENT_TYPE).is_some_and(is_grpc)
}

fn is_grpc(content_type: &HeaderValue) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.as_bytes().get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

/// Whether the client waits to be told that it may send its body (RFC 9110, section 10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

/// Finds the owner of a request, where the application tells them apart.
pub(super) fn owner<B>(settings: &Settings, request: Request<B>) -> (Option<Owner>, Request<B>) {
    match &settings.owner_of {
        None => (None, request),
        Some(owner_of) => {
            let (parts, body): (request::Parts, B) = request.into_parts();
            (owner_of(&parts), Request::from_parts(parts, body))
        }
    }
}
