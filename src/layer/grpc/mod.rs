//! gRPC: calls of unary methods that may become operations, and the layer's answers to them.
//!
//! A call that [`calls`] finds goes the way of every request; its [`caller`] is answered by [`answer`], and as one who
//! has asked for an operation by [`in_line`] even before there is one. Its reply is [`kept`] as the service has sent
//! it.

mod answer;
mod caller;
mod calls;
mod framing;
mod in_line;
mod kept;
mod passing;

pub(super) use answer::{accepted, body, pending, refusal, reply, unavailable};
pub(super) use caller::Caller;
pub(super) use calls::{Calls, candidate};
pub(super) use kept::CallHead;
pub(super) use passing::Passing;
use tonic::server::NamedService;

use super::RespondAsync;

/// So that one of a server's services can be wrapped.
impl<S: NamedService, M> NamedService for RespondAsync<S, M> {
    const NAME: &'static str = S::NAME;
}
