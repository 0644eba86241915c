//! What a client speaks, and so in which words the layer answers it.

use bytes::Bytes;
use http::{Response, header};

#[cfg(feature = "grpc")]
use super::grpc::{self, Caller};
use super::{
    ResponseBody, Route,
    accepted::{Accepted, BY_PREFERENCE},
    client::Client,
    leaving, stored_first,
};
#[cfg(feature = "grpc")]
use crate::longrunning::operation;
use crate::{
    http::problem::{Kind, Problem},
    policy::Terms,
    store::Snapshot,
};

/// What a client speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Speech {
    Http,
    #[cfg(feature = "grpc")]
    Grpc(Caller),
}

impl Client {
    /// The caller who has asked for an operation in place of the reply.
    #[cfg(feature = "grpc")]
    pub(super) fn prefers_operation(&self) -> Option<Caller> {
        match self.speech {
            Speech::Grpc(caller) if caller.prefers_operation => Some(caller),
            Speech::Grpc(_) | Speech::Http => None,
        }
    }

    /// Marks what the service has answered in line.
    pub(super) fn mark<RB>(&self, response: &mut Response<RB>) {
        // Whatever the handler answered, another preference might have been answered otherwise. No cache asks for that
        // in gRPC.
        if matches!(self.speech, Speech::Http) {
            response.headers_mut().append(header::VARY, BY_PREFERENCE);
        }
    }

    /// Says that the request was accepted a moment ago.
    pub(super) fn accepted(&self, accepted: &Accepted, route: &Route) -> Response<Bytes> {
        match self.speech {
            Speech::Http => accepted.response(route, self),
            #[cfg(feature = "grpc")]
            Speech::Grpc(caller) => grpc::accepted(caller, accepted, route),
        }
    }

    /// Says how an operation is that was accepted before.
    pub(super) fn pending(&self, snapshot: &Snapshot, route: &Route) -> Response<Bytes> {
        match self.speech {
            Speech::Http => Accepted::of(snapshot).response(route, self),
            #[cfg(feature = "grpc")]
            Speech::Grpc(caller) => grpc::pending(caller, snapshot),
        }
    }

    /// Turns the client away, for now.
    pub(super) fn unavailable(&self, terms: &Terms) -> Response<Bytes> {
        match self.speech {
            Speech::Http => leaving::unavailable(terms),
            #[cfg(feature = "grpc")]
            Speech::Grpc(_) => grpc::unavailable(terms),
        }
    }

    /// Refuses what is wrong with the request.
    pub(super) fn refusal(&self, kind: Kind) -> Response<Bytes> {
        match self.speech {
            Speech::Http => Problem::new(kind).into_response(),
            #[cfg(feature = "grpc")]
            Speech::Grpc(_) => grpc::refusal(kind),
        }
    }

    /// The reply of an operation, once that has ended.
    pub(super) fn reply<RB>(&self, snapshot: &Snapshot) -> Option<Response<ResponseBody<RB>>> {
        let end = snapshot.end.as_ref()?;
        Some(match self.speech {
            Speech::Http => stored_first::reply(self, end),
            #[cfg(feature = "grpc")]
            Speech::Grpc(caller) => grpc::reply(caller, end, &snapshot.terms, || operation::of(snapshot)),
        })
    }

    /// The body of an answer of the layer's own.
    pub(super) fn body<RB>(&self, document: Bytes) -> ResponseBody<RB> {
        match self.speech {
            Speech::Http => ResponseBody::document(if self.reads_body { document } else { Bytes::new() }),
            #[cfg(feature = "grpc")]
            Speech::Grpc(_) => grpc::body(document),
        }
    }
}
