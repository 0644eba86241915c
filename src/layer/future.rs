//! A request in line: polls its service first and its budget second (R1), and detaches it when the budget is over.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tracing::Span;

use super::{
    MapServiceError, ResponseBody, Route,
    accepted::Accepted,
    candidate::Candidate,
    detach::{Call, Detachment},
    request_body::{Arrival, Arrived},
    speech::Speech,
    stored_first::Submission,
    submission::Patience,
};
use crate::{
    http::{
        problem::{Kind as ProblemKind, Problem},
        retry_after,
    },
    hub::{self, Acceptance, Accepting, Deadline, Declined},
    operation::{OperationId, Owner},
    policy::{AtLimit, Limit, OnDisconnect, Terms},
    run::OperationHandle,
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

/// A request in line that may yet be detached.
pub(super) struct Waiting<F, B: Body, RB, M> {
    pub(super) route: Arc<Route>,
    /// What is to be stored of it, where anything is.
    pub(super) submission: Option<Box<Submission>>,
    /// Absent once it is answered or detached.
    pub(super) call: Option<Pin<Box<Call<F, RB, M>>>>,
    /// The part of the request body that still arrives.
    pub(super) arrival: Option<Arrival<B>>,
    /// Whether that has been too large to detach the request.
    over_limit: bool,
    pub(super) client: Client,
    pub(super) handle: Option<OperationHandle>,
    deadline: Option<Deadline>,
    /// The operation that it is about to become.
    pub(super) accepting: Option<Accepting>,
    /// It is being polled; once that is over and this still holds, it has panicked.
    pub(super) polling: bool,
    /// What to do when the client hangs up. A pointer, because only its maker knows that the call may be spawned.
    hung_up: fn(&mut Self),
}

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
        route: Arc<Route>,
        call: Pin<Box<Call<F, RB, M>>>,
        arrival: Option<Arrival<B>>,
        client: Client,
        handle: Option<OperationHandle>,
        submission: Option<Box<Submission>>,
    ) -> Self {
        let hung_up = Self::hung_up;
        Self {
            route,
            submission,
            call: Some(call),
            arrival,
            over_limit: false,
            client,
            handle,
            deadline: None,
            accepting: None,
            polling: false,
            hung_up,
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Response<ResponseBody<RB>>, E>> {
        if self.is_stored_first() {
            return self.poll_stored_first(context);
        }
        #[cfg(feature = "grpc")]
        if let Some(caller) = self.client.prefers_operation() {
            return self.poll_operation(caller, context);
        }
        let Some(call) = &mut self.call else { return Poll::Pending };
        self.polling = true;
        let answer = call.as_mut().poll_handler(context);
        self.polling = false;
        match answer {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => {
                self.leave_line();
                return Poll::Ready(Err(error));
            }
            Poll::Ready(Ok(mut response)) => {
                // The body may still be made by somebody who looks at the handle.
                let handle = self.handle.take();
                self.leave_line();
                self.client.mark(&mut response);
                return Poll::Ready(Ok(response.map(|body| ResponseBody::of_call(body, handle))));
            }
        }
        ready!(self.poll_budget(context));
        self.poll_detach(context).map(|response| Ok(response.map(|document| self.client.body(document))))
    }

    /// Ready once the budget is over, and from then on.
    pub(super) fn poll_budget(&mut self, context: &Context<'_>) -> Poll<()> {
        let Some(budget) = self.client.patience.budget else { return Poll::Pending };
        if budget.is_zero() {
            return Poll::Ready(());
        }
        let deadlines = &self.route.hub.deadlines;
        let Some(deadline) = &self.deadline else {
            self.deadline = Some(deadlines.enter(budget, context.waker()));
            return Poll::Pending;
        };
        ready!(deadlines.poll(deadline, context));
        self.leave_wheel();
        self.client.patience.budget = Some(Duration::ZERO);
        Poll::Ready(())
    }

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
    fn hung_up(&mut self) {
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
}

impl<F, B: Body, RB, M> Waiting<F, B, RB, M> {
    pub(super) fn operation(&self) -> NewOperation {
        NewOperation {
            id: self.operation_id(),
            owner: self.client.owner.clone(),
            terms: Arc::clone(&self.route.terms),
            key: None,
            request: None,
            lease: None,
        }
    }

    pub(super) fn operation_id(&self) -> OperationId {
        self.handle.as_ref().map_or_else(OperationId::random, OperationHandle::id)
    }

    fn is_stored_first(&self) -> bool {
        self.submission.as_ref().is_some_and(|submission| submission.is_first())
    }

    /// Whether others may have found it in the store already.
    fn is_known_by_key(&self) -> bool {
        self.accepting.is_some() && self.is_keyed()
    }

    fn leave_wheel(&mut self) {
        if let Some(deadline) = self.deadline.take() {
            self.route.hub.deadlines.leave(&deadline);
        }
    }

    /// Nothing is waited for any more.
    pub(super) fn leave_line(&mut self) {
        self.leave_wheel();
        self.accepting = None;
        if let Some(handle) = self.handle.take() {
            handle.released();
        }
        self.call = None;
    }
}

impl<F, B: Body, RB, M> Drop for Waiting<F, B, RB, M> {
    fn drop(&mut self) {
        if self.call.is_some() {
            // A panic is the end of the request, as without the layer: nobody has hung up.
            if !self.polling {
                (self.hung_up)(self);
            }
            self.leave_line();
        }
    }
}

/// The current span, without a look for one where nobody has ever asked for any.
#[inline]
fn current_span() -> Option<Span> {
    tracing::dispatcher::has_been_set().then(Span::current)
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

impl<F, B: Body, RB, M> fmt::Debug for ResponseFuture<F, B, RB, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
