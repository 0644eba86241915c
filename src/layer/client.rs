//! What is known of the client in line.

use http::{Method, Request};
use tracing::Span;

use super::{candidate::Candidate, speech::Speech, submission::Patience};
use crate::operation::Owner;

/// What is known of the client in line.
pub(super) struct Client {
    pub(super) patience: Patience,
    pub(super) origin: Option<Box<str>>,
    pub(super) owner: Option<Owner>,
    /// Whether an answer of the layer's own may have a body: not to `HEAD`.
    pub(super) reads_body: bool,
    pub(super) speech: Speech,
    /// The span that was current at the call (R11).
    pub(super) span: Option<Span>,
}

impl Client {
    #[inline]
    pub(super) fn of<B>(candidate: &Candidate, request: &Request<B>, owner: Option<Owner>) -> Self {
        let Candidate { route, patience, speech, .. } = candidate;
        Self {
            patience: *patience,
            origin: route.hub.settings.origin(request.uri(), request.headers()),
            owner,
            reads_body: request.method() != Method::HEAD,
            speech: *speech,
            span: current_span(),
        }
    }
}

/// The current span, without a look for one where nobody has ever asked for any.
#[inline]
fn current_span() -> Option<Span> {
    tracing::dispatcher::has_been_set().then(Span::current)
}
