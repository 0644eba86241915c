//! A request that becomes an operation before its handler begins: one that its client has named by an idempotency key,
//! so that it is done once, or a durable one that is left to whoever has room for it. Its client waits in line for its
//! end all the same, for as long as its budget says.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use tokio::time::Instant;

use super::{
    MapServiceError, ResponseBody, Route,
    accepted::{self, BY_PREFERENCE},
    client::Client,
    future::Waiting,
    request_body::{Arrival, Arrived},
};
use crate::{
    http::{
        hop_by_hop,
        idempotency_key::{self, Malformed},
        problem::{Kind, Problem},
    },
    hub::{Acceptance, Accepted, Admission, Declined, Hub, absence},
    operation::{self, Given, Key, OperationId, Owner, StoredRequest},
    policy::Limit,
    run::OperationHandle,
    store::{End, NewOperation, Part, Snapshot, StoreError},
    telemetry::{self, Reason},
};

/// What is to be stored of a request with its operation.
pub(super) struct Submission {
    /// The request, but for its body.
    head: StoredRequest,
    key: Option<Result<String, Malformed>>,
    /// Tells apart those who have no owner.
    sender: [u8; 16],
    /// Any replica may run it.
    is_durable: bool,
    /// Nothing runs before it is stored.
    is_first: bool,
    begun: Instant,
    following: Option<Following>,
}

/// The wait for the end of an operation that is stored.
struct Following {
    /// As it was when it was stored, or found.
    begun: accepted::Accepted,
    end: Pin<Box<dyn Future<Output = Result<Option<Snapshot>, StoreError>> + Send>>,
}

impl Submission {
    /// `None` where nothing of the request need be stored.
    #[inline]
    pub(super) fn of<B>(route: &Route, is_keyed: bool, request: &Request<B>) -> Option<Box<Self>> {
        let policy = &route.terms.policy;
        let is_keyed = is_keyed && policy.honor_idempotency_key;
        let is_durable = policy.is_durable && route.hub.is_shared();
        (is_keyed || is_durable).then(|| Self::stored(&route.hub, is_keyed, is_durable, request))
    }

    fn stored<B>(hub: &Hub, is_keyed: bool, is_durable: bool, request: &Request<B>) -> Box<Self> {
        let key = is_keyed.then(|| idempotency_key::parse(request.headers()));
        let sender = if key.is_some() { operation::sender(request.headers()) } else { [0; 16] };
        let mut headers = if is_durable { request.headers().clone() } else { HeaderMap::new() };
        // What was said of this one transfer does not hold for the next.
        hop_by_hop::strip(&mut headers);
        headers.remove(header::EXPECT);
        #[cfg(feature = "grpc")]
        headers.remove(crate::longrunning::timeout::GRPC_TIMEOUT);
        Box::new(Self {
            head: StoredRequest::new(request.method().clone(), request.uri().clone(), headers, Bytes::new()),
            is_first: key.is_some() || !hub.has_room(),
            key,
            sender,
            is_durable,
            begun: Instant::now(),
            following: None,
        })
    }

    /// Has the body kept as it comes.
    pub(super) fn record<B: Body>(&self, arrival: &Arrival<B>, limit: usize) {
        arrival.record(limit);
        if self.is_first {
            arrival.invite();
        }
    }

    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// Adds to the operation what is to be stored with it.
    fn complete(&self, operation: NewOperation, body: Bytes) -> NewOperation {
        let StoredRequest { method, uri, .. } = &self.head;
        let key = self.key.as_ref().and_then(|key| key.as_ref().ok()).map(|key| {
            let (owner, route) = (operation.owner.as_ref(), operation.terms.route());
            Key::new(owner, &self.sender, route, key, method, uri, &body)
        });
        let request = self.is_durable.then(|| StoredRequest { body, ..self.head.clone() });
        NewOperation { key, request, ..operation }
    }
}

impl<F, B: Body, RB, M> Waiting<F, B, RB, M> {
    /// Whether the client has named the request.
    pub(super) fn is_keyed(&self) -> bool {
        self.submission.as_ref().is_some_and(|submission| submission.key.is_some())
    }

    /// The operation, with what is to be stored. An error where the body is no longer there to be stored.
    pub(super) fn whole_operation(&self) -> Result<NewOperation, Declined> {
        let operation = self.operation();
        let Some(submission) = &self.submission else { return Ok(operation) };
        let body = match &self.arrival {
            None => Bytes::new(),
            Some(arrival) => arrival.recorded().ok_or(Declined::Limit(Limit::RequestBody))?,
        };
        Ok(submission.complete(operation, body))
    }
}

impl<F, B, RB, M, E> Waiting<F, B, RB, M>
where
    F: Future<Output = Result<Response<RB>, E>> + Send + 'static,
    B: Body,
    RB: Body + Send + 'static,
    M: MapServiceError<E> + Send + 'static,
{
    /// Stores the request, has it begun, and waits for its end as long as its client does.
    pub(super) fn poll_stored_first(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<RB>>, E>> {
        if let Some(following) = self.submission.as_mut().and_then(|submission| submission.following.as_mut()) {
            let end = ready!(following.end.as_mut().poll(context)).map_err(|_| following.begun.clone());
            return Poll::Ready(Ok(self.answer(end)));
        }
        if let Some(Submission { key: Some(Err(Malformed)), .. }) = self.submission.as_deref() {
            return Poll::Ready(Ok(self.refuse(Kind::IdempotencyKeyMalformed)));
        }
        match ready!(self.poll_store(context)) {
            Ok(accepted) => self.begin(accepted, context),
            Err(declined) => self.go_on_in_line(declined, context),
        }
    }

    fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<Accepted, Declined>> {
        let accepting = match &mut self.accepting {
            Some(accepting) => accepting,
            None => match ready!(self.poll_request(context)).map(|operation| self.route.hub.accept_or_queue(operation))
            {
                Err(declined) => return Poll::Ready(Err(declined)),
                Ok(Acceptance::Now(accepted)) => return Poll::Ready(accepted),
                Ok(Acceptance::Later(accepting)) => self.accepting.insert(accepting),
            },
        };
        let accepted = ready!(Pin::new(accepting).poll(context));
        self.accepting = None;
        Poll::Ready(accepted)
    }

    /// Reads the whole of the request.
    fn poll_request(&self, context: &mut Context<'_>) -> Poll<Result<NewOperation, Declined>> {
        let limit = self.route.terms.policy.max_request_body;
        match self.arrival.as_ref().map_or(Arrived::Whole, |body| body.poll_whole(limit, context)) {
            Arrived::Waiting => Poll::Pending,
            // What has broken off is for the handler to see.
            Arrived::Failed | Arrived::OverLimit => Poll::Ready(Err(Declined::Limit(Limit::RequestBody))),
            Arrived::Whole => Poll::Ready(self.whole_operation()),
        }
    }

    fn begin(&mut self, accepted: Accepted, context: &mut Context<'_>) -> Poll<Result<Response<ResponseBody<RB>>, E>> {
        let is_new = !matches!(accepted, Accepted::Existing(_));
        let begun = match accepted {
            Accepted::KeyTaken => return Poll::Ready(Ok(self.refuse(Kind::IdempotencyKeyReused))),
            Accepted::Existing(snapshot) => accepted::Accepted::of(&snapshot),
            Accepted::Queued { id, created } => {
                telemetry::accepted(id, &self.route.terms, Reason::Queued);
                accepted::Accepted::queued(id, created)
            }
            Accepted::Run(admission) => self.run(admission),
        };
        let submission = self.submission.take();
        self.leave_line();
        let until = match (&submission, self.client.patience.budget) {
            (Some(submission), Some(budget)) => submission.begun.checked_add(budget),
            _ => None,
        };
        // The store need not be asked for what it has just been told.
        if is_new && until.is_some_and(|until| Instant::now() >= until) {
            return Poll::Ready(Ok(self.accepted_as(&begun)));
        }
        let end = Box::pin(follow(Arc::clone(&self.route.hub), begun.id, self.client.owner.clone(), until));
        self.submission = submission
            .map(|submission| Box::new(Submission { following: Some(Following { begun, end }), ..*submission }));
        self.poll_stored_first(context)
    }

    fn run(&mut self, admission: Admission) -> accepted::Accepted {
        let begun = accepted::Accepted::running(admission.attempt.operation, admission.created);
        if let Some(handle) = &self.handle {
            let _progress = OperationHandle::detach(handle);
        }
        if let Some(detachment) = self.detachment(Reason::Key) {
            detachment.start(admission);
        }
        begun
    }

    /// Treats the request as if nothing were to be stored of it, or turns it away.
    fn go_on_in_line(
        &mut self,
        declined: Declined,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<RB>>, E>> {
        match self.decline(declined) {
            Poll::Ready(response) => {
                self.submission = None;
                Poll::Ready(Ok(response.map(|document| self.client.body(document))))
            }
            Poll::Pending => {
                self.submission = None;
                self.poll(context)
            }
        }
    }

    fn refuse(&mut self, kind: Kind) -> Response<ResponseBody<RB>> {
        self.submission = None;
        self.leave_line();
        self.client.refusal(kind).map(|document| self.client.body(document))
    }

    fn answer(&mut self, end: Result<Option<Snapshot>, accepted::Accepted>) -> Response<ResponseBody<RB>> {
        self.submission = None;
        match end {
            Ok(Some(snapshot)) => self.client.reply(&snapshot).unwrap_or_else(|| {
                self.client.pending(&snapshot, &self.route).map(|document| self.client.body(document))
            }),
            Ok(None) => self.refuse(Kind::NotFound),
            // It is there, whether or not it can be looked at.
            Err(begun) => self.accepted_as(&begun),
        }
    }

    fn accepted_as(&self, accepted: &accepted::Accepted) -> Response<ResponseBody<RB>> {
        self.client.accepted(accepted, &self.route).map(|document| self.client.body(document))
    }
}

/// The reply of the operation, as if it came from the handler.
pub(super) fn reply<RB>(client: &Client, end: &Arc<End>) -> Response<ResponseBody<RB>> {
    let absent = absence(end.reply.ending()).filter(|_| end.reply.is_empty());
    let mut response = match absent {
        Some(kind) => Problem::new(kind).into_response().map(|document| client.body(document)),
        None => {
            let given = Given::of(end);
            let mut headers = given.headers(2);
            let trailers = given.announced_trailers(&mut headers);
            let mut response = Response::new(ResponseBody::reply(given.body(), trailers));
            *response.status_mut() = end.reply.status();
            *response.headers_mut() = headers;
            response
        }
    };
    response.headers_mut().append(header::VARY, BY_PREFERENCE);
    response
}

/// Waits until the operation has ended, or for so long.
async fn follow(
    hub: Arc<Hub>,
    id: OperationId,
    owner: Option<Owner>,
    until: Option<Instant>,
) -> Result<Option<Snapshot>, StoreError> {
    /// As good as for ever.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    let until = until.unwrap_or_else(|| Instant::now() + LONGEST);
    let mut watch = hub.watchers.watch(id);
    let mut more = true;
    loop {
        let read = hub.read(id, owner.as_ref(), Part::Reply).await;
        let waits = match &read {
            Ok(read) => read.as_ref().is_some_and(|snapshot| snapshot.end.is_none()),
            // It goes on while the store is away.
            Err(_) => true,
        };
        if !waits || !more || Instant::now() >= until {
            return read;
        }
        more = hub.changed(&mut watch, until).await;
    }
}
