//! A call in line whose client has asked for an operation: it is answered when its reply is whole, not when it begins.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;

use super::{Caller, answer, kept};
use crate::{
    layer::{MapServiceError, ResponseBody, future::Waiting},
    longrunning::operation,
    operation::Reply,
};

/// What the service has answered.
enum Whole<RB> {
    Reply(Reply),
    /// A failure that its head tells of, which is passed on as it comes.
    Failure(Response<RB>),
}

impl<F, B, RB, M, E> Waiting<F, B, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>> + Send + 'static,
    B: Body,
    RB: Body + Send + 'static,
    M: MapServiceError<E> + Send + 'static,
{
    /// Polls the handler and its reply first, the budget second (R1).
    pub(in crate::layer) fn poll_operation(
        &mut self,
        caller: Caller,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<RB>>, E>> {
        if self.call.is_none() {
            return Poll::Pending;
        }
        self.polling = true;
        let reply = self.poll_whole(context);
        self.polling = false;
        if let Poll::Ready(reply) = reply {
            let response = reply.map(|reply| match reply {
                Whole::Reply(reply) => self.done(caller, reply),
                Whole::Failure(response) => response.map(|body| ResponseBody::of_call(body, self.handle.take())),
            });
            self.leave_line();
            return Poll::Ready(response);
        }
        ready!(self.poll_budget(context));
        self.poll_detach(context).map(|response| Ok(response.map(|document| self.client.body(document))))
    }

    fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<Result<Whole<RB>, E>> {
        let Some(call) = &mut self.call else { return Poll::Pending };
        if let Poll::Ready(response) = call.as_mut().poll_handler(context) {
            match response {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(response) if kept::has_failed(&response) => {
                    return Poll::Ready(Ok(Whole::Failure(response)));
                }
                Ok(response) => {
                    let (policy, keeps_cookies) = (&self.route.terms.policy, self.client.owner.is_some());
                    if let Err(absent) = call.as_mut().collect(response, policy, keeps_cookies) {
                        return Poll::Ready(Ok(Whole::Reply(absent)));
                    }
                }
            }
        }
        call.as_mut().poll_collected(context).map(|reply| Ok(Whole::Reply(reply)))
    }
}

impl<F, B: Body, RB, M> Waiting<F, B, RB, M> {
    /// The answer with this reply.
    fn done(&self, caller: Caller, reply: Reply) -> Response<ResponseBody<RB>> {
        let (id, reply) = (self.operation_id(), Arc::new(reply));
        answer::reply(caller, &reply, &self.route.terms, || operation::in_line(id, &self.route.terms, &reply))
    }
}
