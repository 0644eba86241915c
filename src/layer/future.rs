//! A request in line: polls its service first and its budget second (R1), and detaches it when the budget is over.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    MapServiceError, ResponseBody, Route, client::Client, detach::Call, request_body::Arrival, stored_first::Submission,
};
use crate::{
    hub::{Accepting, Deadline},
    operation::OperationId,
    run::OperationHandle,
    store::NewOperation,
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
    pub(super) over_limit: bool,
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

    pub(super) fn is_stored_first(&self) -> bool {
        self.submission.as_ref().is_some_and(|submission| submission.is_first())
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

impl<F, B: Body, RB, M> fmt::Debug for ResponseFuture<F, B, RB, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
