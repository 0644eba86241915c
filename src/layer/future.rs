//! A request in line: polls its service first and its budget second (R1), and detaches it when the budget is over.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Response, header, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tracing::Span;

use super::{
    MapServiceError, ResponseBody, Route,
    accepted::Accepted,
    detach::{Call, Run},
    request_body::{Arrival, Arrived},
    submission::{Noted, Patience},
};
use crate::{
    http::{
        problem::{Kind as ProblemKind, Problem},
        retry_after,
    },
    hub::{Deadline, Declined, OperationHandle},
    operation::{OperationId, Owner},
    policy::{AtLimit, Limit, OnDisconnect, Terms},
    store::NewOperation,
    telemetry::{self, Reason},
};

pin_project! {
    /// The response of a [`RespondAsync`](super::RespondAsync) service.
    ///
    /// Dropping it before it is ready cancels the request, unless its policy says
    /// [`OnDisconnect::Detach`](crate::OnDisconnect::Detach).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B: Body, RB, M> {
        #[pin]
        kind: Kind<F, B, RB, M>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F, B: Body, RB, M> {
        /// Of no concern to the layer.
        Passing { #[pin] future: F },
        InLine { waiting: Waiting<F, B, RB, M> },
    }
}

type BoxedCall<F, RB, M> = Pin<Box<Call<F, RB, M>>>;

/// A request in line that may yet be detached.
pub(super) struct Waiting<F, B: Body, RB, M> {
    /// Absent once it is answered or detached.
    call: Option<BoxedCall<F, RB, M>>,
    /// The part of the request body that still arrives.
    arrival: Option<Arrival<B>>,
    client: Client,
    handle: Option<OperationHandle>,
    deadline: Option<Deadline>,
    /// It is being polled; once that is over and this still holds, it has panicked.
    polling: bool,
    /// What to do when the client hangs up. A pointer, because only its maker knows that the call may be spawned.
    hung_up: fn(&mut Self),
}

/// What is known of the client in line.
pub(super) struct Client {
    pub(super) patience: Patience,
    pub(super) origin: Option<Box<str>>,
    pub(super) owner: Option<Owner>,
    /// The span that was current at the call (R11).
    pub(super) span: Span,
}

impl Client {
    pub(super) fn of(route: &Route, noted: Noted, parts: &request::Parts) -> Self {
        let settings = &route.hub.settings;
        Self {
            patience: Patience::of(&route.terms.policy, noted, &parts.headers),
            origin: settings.origin(&parts.headers),
            owner: settings.owner_of.as_ref().and_then(|owner_of| owner_of(parts)),
            span: current_span(),
        }
    }
}

impl<F, B: Body, RB, M> ResponseFuture<F, B, RB, M> {
    #[inline]
    pub(super) fn passing(future: F) -> Self {
        Self { kind: Kind::Passing { future } }
    }

    #[inline]
    pub(super) fn in_line(waiting: Waiting<F, B, RB, M>) -> Self {
        Self { kind: Kind::InLine { waiting } }
    }
}

impl<F, B, RB, M, E> Future for ResponseFuture<F, B, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>> + Send + 'static,
    B: Body,
    RB: Body + Send + 'static,
    M: MapServiceError<E> + Send + 'static,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Passing { future } => {
                future.poll(context).map_ok(|response| response.map(ResponseBody::service))
            }
            KindProjection::InLine { waiting } => waiting.poll(context),
        }
    }
}

impl<F, B, RB, M, E> Waiting<F, B, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>> + Send + 'static,
    B: Body,
    RB: Body + Send + 'static,
    M: MapServiceError<E> + Send + 'static,
{
    #[inline]
    pub(super) fn new(
        call: Call<F, RB, M>,
        arrival: Option<Arrival<B>>,
        client: Client,
        handle: Option<OperationHandle>,
    ) -> Self {
        let call = Some(Box::pin(call));
        Self { call, arrival, client, handle, deadline: None, polling: false, hung_up: Self::detach_for_nobody }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Response<ResponseBody<RB>>, E>> {
        let Some(call) = &mut self.call else { return Poll::Pending };
        self.polling = true;
        let answer = call.as_mut().poll_handler(context);
        self.polling = false;
        if let Poll::Ready(answer) = answer {
            self.leave_line();
            return Poll::Ready(answer.map(in_line));
        }
        if self.poll_budget(context).is_pending() {
            return Poll::Pending;
        }
        self.poll_detach(context).map(Ok)
    }

    fn poll_budget(&mut self, context: &Context<'_>) -> Poll<()> {
        let (Some(call), Some(budget)) = (&self.call, self.client.patience.budget) else { return Poll::Pending };
        let deadlines = &call.route().hub.deadlines;
        let deadline = match &self.deadline {
            _ if budget.is_zero() => return Poll::Ready(()),
            Some(deadline) => deadline,
            None => {
                self.deadline = Some(deadlines.enter(budget, context.waker()));
                return Poll::Pending;
            }
        };
        let polled = deadlines.poll(deadline, context);
        if polled.is_ready() {
            deadlines.leave(deadline);
            self.deadline = None;
            self.client.patience.budget = Some(Duration::ZERO);
        }
        polled
    }

    fn poll_detach(&mut self, context: &mut Context<'_>) -> Poll<Response<ResponseBody<RB>>> {
        let Some(call) = self.call.take() else { return Poll::Pending };
        let policy = &call.route().terms.policy;
        let arrival = self.arrival.as_ref();
        let declined = match arrival.map_or(Arrived::Whole, |body| body.poll_whole(policy.max_request_body, context)) {
            Arrived::Whole => match self.accept(call, self.client.patience.reason()) {
                Ok(accepted) => return Poll::Ready(accepted.response(&self.client).map(ResponseBody::document)),
                Err((call, declined)) => {
                    self.call = Some(call);
                    declined
                }
            },
            // The handler may read it yet.
            Arrived::OverLimit if policy.at(Limit::RequestBody) == AtLimit::Unavailable => {
                self.call = Some(call);
                Declined::Limit(Limit::RequestBody)
            }
            Arrived::OverLimit | Arrived::Waiting => {
                self.call = Some(call);
                return Poll::Pending;
            }
        };
        self.decline(declined)
    }

    /// Keeps the request in line for good, or turns it away where its policy says so.
    fn decline(&mut self, declined: Declined) -> Poll<Response<ResponseBody<RB>>> {
        let Some(call) = &self.call else { return Poll::Pending };
        let terms = Arc::clone(&call.route().terms);
        telemetry::declined(&terms, declined);
        self.client.patience.budget = None;
        match declined {
            Declined::Limit(limit) if terms.policy.at(limit) == AtLimit::Unavailable => {
                self.call = None;
                self.leave_line();
                Poll::Ready(unavailable(&terms).map(ResponseBody::document))
            }
            _ => Poll::Pending,
        }
    }

    /// Makes the request an operation; gives the call back where that is declined.
    fn accept(
        &mut self,
        mut call: BoxedCall<F, RB, M>,
        reason: Reason,
    ) -> Result<Accepted, (BoxedCall<F, RB, M>, Declined)> {
        let Route { hub, terms } = &**call.route();
        let (hub, terms) = (Arc::clone(hub), Arc::clone(terms));
        let id = self.handle.as_ref().map_or_else(OperationId::random, OperationHandle::id);
        let operation = NewOperation { id, owner: self.client.owner.clone(), terms: Arc::clone(&terms) };
        let (permit, created) = match hub.accept(operation) {
            Ok(accepted) => accepted,
            Err(declined) => return Err((call, declined)),
        };
        telemetry::accepted(id, &terms, reason);
        let handle = self.handle.take();
        let progress = handle.as_ref().and_then(OperationHandle::detach);
        let keep_cookies = self.client.owner.is_some();
        let route = Arc::clone(call.route());
        call.as_mut().detach(Run::new(id, route, permit, &self.client.span, keep_cookies));
        hub.start(id, handle, call);
        Ok(Accepted { id, created, progress, terms, hub })
    }

    /// The client has hung up: as its policy has it, that ends the request, or it goes on as an operation.
    fn detach_for_nobody(&mut self) {
        let whole = self.arrival.as_ref().is_none_or(Arrival::is_whole);
        if let Some(call) = self.call.take_if(|call| call.route().terms.policy.on_disconnect == OnDisconnect::Detach)
            && whole
        {
            let terms = Arc::clone(&call.route().terms);
            if let Err((_, declined)) = self.accept(call, Reason::Disconnect) {
                telemetry::declined(&terms, declined);
            }
        }
    }
}

impl<F, B: Body, RB, M> Waiting<F, B, RB, M> {
    /// The handler is done with, one way or the other.
    fn leave_line(&mut self) {
        if let (Some(deadline), Some(call)) = (self.deadline.take(), &self.call) {
            call.route().hub.deadlines.leave(&deadline);
        }
        if let Some(handle) = self.handle.take() {
            handle.released();
        }
        self.call = None;
    }
}

impl<F, B: Body, RB, M> Drop for Waiting<F, B, RB, M> {
    fn drop(&mut self) {
        if self.call.is_some() {
            if let (Some(deadline), Some(call)) = (self.deadline.take(), &self.call) {
                call.route().hub.deadlines.leave(&deadline);
            }
            // A panic is the end of the request, as without the layer: nobody has hung up.
            if !self.polling {
                (self.hung_up)(self);
            }
            self.leave_line();
        }
    }
}

/// The current span, without a look for one where nobody has ever asked for any.
fn current_span() -> Span {
    if tracing::dispatcher::has_been_set() { Span::current() } else { Span::none() }
}

/// Whatever the handler answered, another preference might have been answered otherwise.
fn in_line<RB>(response: Response<RB>) -> Response<ResponseBody<RB>> {
    let mut response = response.map(ResponseBody::service);
    response.headers_mut().append(header::VARY, HeaderValue::from_static("prefer"));
    response
}

fn unavailable(terms: &Terms) -> Response<bytes::Bytes> {
    let mut response = Problem::new(ProblemKind::Unavailable).into_response();
    let seconds = retry_after::seconds(terms.history.expected_remaining(Duration::ZERO), Duration::ZERO, 0);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

impl<F, B: Body, RB, M> fmt::Debug for ResponseFuture<F, B, RB, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
