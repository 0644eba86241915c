//! A call of the wrapped service, and what becomes of it once it is detached: a task that runs the handler, collects
//! its reply and ends the operation, whatever happens (R5).

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tracing::{Span, dispatcher, info_span};

use super::{MapServiceError, Route, collect::Collect};
#[cfg(feature = "grpc")]
use crate::policy::Policy;
use crate::{
    hub::{Accepted, Admission, Declined, Permit},
    operation::{Ending, Failure, OperationId, Reply},
    run::OperationHandle,
    store::Attempt,
    telemetry::{self, Reason},
};

/// A call that is to go on by itself.
pub(super) struct Detachment<F, RB, M> {
    pub(super) call: Pin<Box<Call<F, RB, M>>>,
    pub(super) route: Arc<Route>,
    pub(super) handle: Option<OperationHandle>,
    /// The span that was current at the call (R11).
    pub(super) span: Option<Span>,
    /// Only where nobody but the owner will see them (R10).
    pub(super) keeps_cookies: bool,
    pub(super) reason: Reason,
}

pin_project! {
    /// A call in one allocation, in line and detached: to detach it is to hand the box to a task.
    pub(super) struct Call<F, RB, M> {
        #[pin]
        stage: Stage<F, RB>,
        // After the stage: what runs is gone before anybody is told that it is. Absent while the call is in line.
        run: Option<Run>,
        service_error: M,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, RB> {
        Handling { #[pin] handler: F },
        Collecting { reply: Pin<Box<Collect<RB>>> },
        Over,
    }
}

/// The run of an operation. When it goes, the operation has ended: if nothing else has ended it, this does.
// Small, as there is room for one in every call.
struct Run {
    /// Absent once the operation has ended.
    operation: Option<Running>,
    /// Boxed, as most applications that run a great many operations have none.
    span: Option<Box<Span>>,
}

/// An operation that runs. When it goes, the operation's permit is given back.
struct Running {
    attempt: Attempt,
    route: Arc<Route>,
    permit: Permit,
    /// Only where nobody but the owner will see them (R10).
    keeps_cookies: bool,
}

impl<F, RB, M> Call<F, RB, M> {
    #[inline]
    pub(super) fn new(handler: F, service_error: M) -> Self {
        Self { stage: Stage::Handling { handler }, run: None, service_error }
    }

    fn detach(self: Pin<&mut Self>, run: Run) {
        *self.project().run = Some(run);
    }

    /// Has a reply collected that has begun in line. Whole, it is of the client in line; it is kept only if the call is
    /// detached before.
    #[cfg(feature = "grpc")]
    pub(super) fn collect(
        self: Pin<&mut Self>,
        response: Response<RB>,
        policy: &Policy,
        keeps_cookies: bool,
    ) -> Result<(), Reply>
    where
        RB: Body,
    {
        let reply = Box::pin(Collect::new(response, policy, keeps_cookies)?);
        self.project().stage.set(Stage::Collecting { reply });
        Ok(())
    }

    /// Polls a reply that is collected in line.
    #[cfg(feature = "grpc")]
    pub(super) fn poll_collected(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply>
    where
        RB: Body,
    {
        match self.project().stage.project() {
            StageProjection::Collecting { reply } => reply.as_mut().poll(context),
            StageProjection::Handling { .. } | StageProjection::Over => Poll::Pending,
        }
    }
}

impl<F, RB, M, E> Detachment<F, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>> + Send + 'static,
    RB: Body + Send + 'static,
    M: MapServiceError<E> + Send + 'static,
{
    pub(super) fn start(self, admission: Admission) {
        telemetry::accepted(admission.attempt.operation, &self.route.terms, self.reason);
        self.run(admission);
    }

    pub(super) fn run(mut self, admission: Admission) {
        let (attempt, permit) = (admission.attempt, admission.begin());
        let hub = Arc::clone(&self.route.hub);
        let span = span_of(attempt.operation, self.span);
        let operation = Some(Running { attempt, route: self.route, permit, keeps_cookies: self.keeps_cookies });
        self.call.as_mut().detach(Run { operation, span });
        hub.start(attempt, self.handle, self.call);
    }

    /// Starts it, or lets it go.
    pub(super) fn start_if(self, accepted: Result<Accepted, Declined>) {
        match (accepted, &self.handle) {
            (Ok(Accepted::Run(admission)), handle) => {
                let _progress = handle.as_ref().and_then(OperationHandle::detach);
                return self.start(admission);
            }
            (Ok(_), _) => {}
            (Err(declined), _) => telemetry::declined(&self.route.terms, declined),
        }
        if let Some(handle) = self.handle {
            handle.released();
        }
    }
}

impl<F, RB, M, E> Call<F, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body,
    M: MapServiceError<E>,
{
    /// Polls the handler in line.
    pub(super) fn poll_handler(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().stage.project() {
            StageProjection::Handling { handler } => handler.poll(context),
            StageProjection::Collecting { .. } | StageProjection::Over => Poll::Pending,
        }
    }

    /// Polls the handler, then its reply.
    fn poll_reply(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut this = self.project();
        let Some(Run { operation: Some(operation), .. }) = this.run else { return Poll::Pending };
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Handling { handler } => match ready!(handler.poll(context)) {
                    Ok(response) => {
                        match Collect::new(response, &operation.route.terms.policy, operation.keeps_cookies) {
                            Ok(collect) => this.stage.set(Stage::Collecting { reply: Box::pin(collect) }),
                            Err(absent) => return Poll::Ready(absent),
                        }
                    }
                    Err(error) => return Poll::Ready(super::collect::service_error(this.service_error.map(error))),
                },
                StageProjection::Collecting { reply } => return reply.as_mut().poll(context),
                StageProjection::Over => return Poll::Pending,
            }
        }
    }

    /// Drops what has run, which may panic, too.
    fn clear(self: Pin<&mut Self>) {
        self.project().stage.set(Stage::Over);
    }
}

/// The task of a detached call.
impl<F, RB, M, E> Future for Call<F, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body,
    M: MapServiceError<E>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let span = self.run.as_ref().and_then(|run| run.span.as_deref()).cloned();
        let _entered = span.as_ref().map(Span::enter);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let reply = ready!(self.as_mut().poll_reply(context));
            self.as_mut().clear();
            Poll::Ready(reply)
        }));
        let reply = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(reply)) => reply,
            Err(_) => {
                let _twice = catch_unwind(AssertUnwindSafe(|| self.as_mut().clear()));
                Reply::none(Ending::Failed(Failure::Panicked))
            }
        };
        if let Some(run) = self.project().run {
            run.end(reply);
        }
        Poll::Ready(())
    }
}

impl Run {
    /// Gives the permit back, too, even if a subscriber or a recorder panics when it is told of the end.
    fn end(&mut self, reply: Reply) {
        if let Some(operation) = self.operation.take() {
            operation.route.hub.finish(operation.attempt, reply);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end(Reply::none(Ending::Failed(Failure::Interrupted)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.route.hub.stopped(self.attempt, mem::take(&mut self.permit));
    }
}

/// The span of an operation, below that of its request. Not made where nobody has ever asked for any.
fn span_of(id: OperationId, parent: Option<Span>) -> Option<Box<Span>> {
    if !dispatcher::has_been_set() {
        return None;
    }
    let own = info_span!(parent: parent.as_ref().and_then(Span::id), "operation", operation.id = %id);
    // A filter may silence this crate's own spans and no others.
    let span = if own.is_disabled() { parent? } else { own };
    (!span.is_disabled()).then(|| Box::new(span))
}
