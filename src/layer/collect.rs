//! Collects a response into the reply that is kept.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, Response, header};
use http_body::Body;
use pin_project_lite::pin_project;

#[cfg(feature = "grpc")]
use super::grpc::CallHead;
use crate::{
    http::hop_by_hop,
    operation::{Ending, Failure, Reply, ReplyBuilder},
    policy::Policy,
};

const LARGEST_RESERVATION: usize = 64 * 1024;

/// After so many frames that were ready at once, others get their turn, and the operation can be ended.
const FRAMES_IN_A_ROW: usize = 64;

pin_project! {
    /// A reply whose body is still coming.
    pub(super) struct Collect<B> {
        #[pin]
        body: B,
        reply: Option<ReplyBuilder>,
        trailers: Option<HeaderMap>,
        limit: usize,
        // Of a gRPC reply: what is known of its end from its beginning.
        call: Option<CallHead>,
    }
}

impl<B: Body> Collect<B> {
    /// Begins with the head. Where the reply is too large as far as can be told already, returns what to end the
    /// operation with.
    pub(super) fn new(response: Response<B>, policy: &Policy, keep_cookies: bool) -> Result<Self, Reply> {
        let limit = policy.max_reply;
        let (mut head, body) = response.into_parts();
        keep_end_to_end(&mut head.headers, keep_cookies);
        let call = CallHead::of(policy, &head);
        let length = usize::try_from(body.size_hint().lower()).ok().filter(|length| *length <= limit);
        // A body may promise more than it has, so memory is taken for a part of it only.
        let begin = |length: usize| {
            ReplyBuilder::new(Ending::Replied, head.status, &head.headers, length.min(LARGEST_RESERVATION))
        };
        let reply = length.and_then(begin).filter(|reply| reply.size() <= limit).ok_or_else(too_large)?;
        Ok(Self { body, reply: Some(reply), trailers: None, limit, call })
    }
}

impl<B: Body> Future for Collect<B> {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut this = self.project();
        for _ in 0..FRAMES_IN_A_ROW {
            let frame = ready!(this.body.as_mut().poll_frame(context));
            let Some(mut reply) = this.reply.take() else { return Poll::Pending };
            match frame {
                None => {
                    if let Some(call) = &this.call {
                        let status = call.kept_status(this.trailers.as_ref(), reply.body(), *this.limit);
                        let Some(status) = status else { return Poll::Ready(too_large()) };
                        reply.set_status(status);
                    }
                    let reply = reply.build(this.trailers.as_ref()).filter(|reply| reply.size() <= *this.limit);
                    return Poll::Ready(reply.unwrap_or_else(too_large));
                }
                // What came before it may look whole and is not (R6).
                Some(Err(_)) => return Poll::Ready(Reply::none(Ending::Failed(Failure::ServiceError))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.remaining() > this.limit.saturating_sub(reply.size()) => {
                        return Poll::Ready(too_large());
                    }
                    Ok(data) => reply.extend(data),
                    Err(frame) => keep_trailers(this.trailers, frame.into_trailers().ok()),
                },
            }
            *this.reply = Some(reply);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What stands in for the reply of a service that returned an error.
pub(super) fn service_error(response: Response<Bytes>) -> Reply {
    let (mut head, body) = response.into_parts();
    keep_end_to_end(&mut head.headers, false);
    let ending = Ending::Failed(Failure::ServiceError);
    let reply = ReplyBuilder::new(ending, head.status, &head.headers, body.len());
    reply
        .and_then(|mut reply| {
            reply.extend(body);
            reply.build(None)
        })
        .unwrap_or_else(|| Reply::none(ending))
}

fn too_large() -> Reply {
    Reply::none(Ending::Failed(Failure::ReplyTooLarge))
}

/// Removes what says something of this one transfer, and cookies unless only their owner will see them (R10).
fn keep_end_to_end(headers: &mut HeaderMap, keep_cookies: bool) {
    hop_by_hop::strip(headers);
    remove(headers, &header::CONTENT_LENGTH);
    if !keep_cookies {
        remove(headers, &header::SET_COOKIE);
    }
}

/// A glance at each of a few names costs less than to look up one that is not there.
fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    if headers.keys().any(|present| present == name) {
        headers.remove(name);
    }
}

fn keep_trailers(kept: &mut Option<HeaderMap>, trailers: Option<HeaderMap>) {
    if let Some(mut trailers) = trailers {
        // A cookie has no place in a trailer, whoever reads it.
        keep_end_to_end(&mut trailers, false);
        kept.get_or_insert_default().extend(trailers);
    }
}

/// Without gRPC there are no calls.
#[cfg(not(feature = "grpc"))]
#[derive(Clone, Copy)]
enum CallHead {}

#[cfg(not(feature = "grpc"))]
impl CallHead {
    fn of(_: &Policy, _: &http::response::Parts) -> Option<Self> {
        None
    }

    fn kept_status(self, _: Option<&HeaderMap>, _: &[u8], _: usize) -> Option<http::StatusCode> {
        match self {}
    }
}
