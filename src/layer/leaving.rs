//! How a request leaves the line: it becomes an operation, once its budget is over or its client is gone, or is turned
//! away.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, header};
use http_body::Body;

use super::{
    MapServiceError,
    accepted::Accepted,
    detach::Detachment,
    future::Waiting,
    request_body::{Arrival, Arrived},
};
use crate::{
    http::{
        problem::{Kind as ProblemKind, Problem},
        retry_after,
    },
    hub::{self, Acceptance, Declined},
    operation::OperationId,
    policy::{AtLimit, Limit, OnDisconnect, Terms},
    run::OperationHandle,
    telemetry::{self, Reason},
};

impl<F, B, RB, M, E> Waiting<F, B, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>> + Send + 'static,
    B: Body,
    RB: Body + Send + 'static,
    M: MapServiceError<E> + Send + 'static,
{
    pub(super) fn poll_detach(&mut self, context: &mut Context<'_>) -> Poll<Response<Bytes>> {
        let policy = &self.route.terms.policy;
        let arrived =
            self.arrival.as_ref().map_or(Arrived::Whole, |body| body.poll_whole(policy.max_request_body, context));
        match arrived {
            Arrived::Whole => match ready!(self.poll_accept(context)) {
                Ok(accepted) => Poll::Ready(self.client.accepted(&accepted, &self.route)),
                Err(declined) => self.decline(declined),
            },
            Arrived::Waiting | Arrived::Failed => Poll::Pending,
            Arrived::OverLimit => self.over_limit(),
        }
    }

    /// The rest of the body is larger than the layer may read into memory; but the handler may yet read it.
    fn over_limit(&mut self) -> Poll<Response<Bytes>> {
        let declined = Declined::Limit(Limit::RequestBody);
        if self.route.terms.policy.at(Limit::RequestBody) == AtLimit::Unavailable {
            return self.decline(declined);
        }
        if !mem::replace(&mut self.over_limit, true) {
            telemetry::declined(&self.route.terms, declined);
        }
        Poll::Pending
    }

    /// Keeps the request in line for good, or turns it away where its policy says so.
    pub(super) fn decline(&mut self, declined: Declined) -> Poll<Response<Bytes>> {
        let terms = &self.route.terms;
        telemetry::declined(terms, declined);
        match declined {
            Declined::Limit(limit) if terms.policy.at(limit) == AtLimit::Unavailable => Poll::Ready(self.turn_away()),
            // What was to survive this process may not be left to it alone.
            Declined::StoreUnavailable if terms.policy.is_durable => Poll::Ready(self.turn_away()),
            Declined::ShuttingDown if terms.policy.is_durable && self.route.hub.settings.only_accepts => {
                Poll::Ready(self.turn_away())
            }
            // It goes on without its key, as it is too large to be told from others, or has broken off.
            Declined::Limit(Limit::RequestBody) => {
                self.client.patience.budget = None;
                Poll::Pending
            }
            // What was to be done once may not be done where nobody remembers.
            _ if self.is_keyed() => Poll::Ready(self.turn_away()),
            _ => {
                self.client.patience.budget = None;
                Poll::Pending
            }
        }
    }

    fn turn_away(&mut self) -> Response<Bytes> {
        let response = self.client.unavailable(&self.route.terms);
        self.leave_line();
        response
    }

    /// Makes the request an operation.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<Result<Accepted, Declined>> {
        let accepting = match &mut self.accepting {
            Some(accepting) => accepting,
            None => match self.whole_operation().map(|operation| self.route.hub.accept(operation)) {
                Err(declined) => return Poll::Ready(Err(declined)),
                Ok(Acceptance::Now(admission)) => return Poll::Ready(self.accepted(admission)),
                Ok(Acceptance::Later(accepting)) => self.accepting.insert(accepting),
            },
        };
        let admission = ready!(Pin::new(accepting).poll(context));
        self.accepting = None;
        Poll::Ready(self.accepted(admission))
    }

    fn accepted(&mut self, accepted: Result<hub::Accepted, Declined>) -> Result<Accepted, Declined> {
        // Nothing else comes of an operation without a key that is to run here.
        let hub::Accepted::Run(admission) = accepted? else { return Err(Declined::StoreUnavailable) };
        let (id, created) = (admission.attempt.operation, admission.created);
        let progress = self.handle.as_ref().and_then(OperationHandle::detach);
        if let Some(detachment) = self.detachment(self.client.patience.reason()) {
            detachment.start(admission);
        }
        self.leave_line();
        Ok(Accepted { progress, ..Accepted::running(id, created) })
    }

    /// All that goes on when the request is detached.
    pub(super) fn detachment(&mut self, reason: Reason) -> Option<Detachment<F, RB, M>> {
        let (route, handle) = (Arc::clone(&self.route), self.handle.take());
        let (span, keeps_cookies) = (self.client.span.take(), self.client.owner.is_some());
        Some(Detachment { call: self.call.take()?, route, handle, span, keeps_cookies, reason })
    }

    /// The client is gone. As the policy has it, so is the request, or it goes on as an operation.
    pub(super) fn hung_up(&mut self) {
        let whole = self.arrival.as_ref().is_none_or(Arrival::is_whole);
        let goes_on = self.route.terms.policy.on_disconnect == OnDisconnect::Detach || self.is_known_by_key();
        if !whole || !goes_on {
            return;
        }
        let hub = Arc::clone(&self.route.hub);
        let acceptance = match (self.accepting.take(), self.whole_operation()) {
            (Some(accepting), _) => Acceptance::Later(accepting),
            (None, Ok(operation)) if self.is_stored_first() => hub.accept_or_queue(operation),
            (None, Ok(operation)) => hub.accept(operation),
            (None, Err(declined)) => Acceptance::Now(Err(declined)),
        };
        let Some(detachment) = self.detachment(Reason::Disconnect) else { return };
        match acceptance {
            Acceptance::Now(admission) => detachment.start_if(admission),
            Acceptance::Later(accepting) => hub.spawn(async { detachment.start_if(accepting.await) }),
        }
    }

    /// Whether others may have found it in the store already.
    fn is_known_by_key(&self) -> bool {
        self.accepting.is_some() && self.is_keyed()
    }
}

pub(super) fn unavailable(terms: &Terms) -> Response<Bytes> {
    let mut response = Problem::new(ProblemKind::Unavailable).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, retry_after::value(ask_again(terms)));
    response
}

/// In how many seconds one who was turned away may ask again.
pub(super) fn ask_again(terms: &Terms) -> u64 {
    let expected = terms.history.expected_remaining(Duration::ZERO);
    retry_after::seconds(expected, Duration::ZERO, OperationId::random().noise())
}
