//! The service `google.longrunning.Operations`: one file for each of its methods.

mod cancel;
mod delete;
mod filter;
mod get;
mod list;
mod merged;
mod wait;

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body::Body;
use tokio::time::Instant;
use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding::{Gzip, Zstd},
    server::NamedService,
};
use tower_service::Service;
use tracing::warn;

use super::{
    generated::google_longrunning::operations_server,
    messages::{
        CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
        ListOperationsResponse, Operation, WaitOperationRequest,
    },
    name, status, timeout,
};
use crate::{
    hub::Hub,
    operation::{OperationId, Owner},
    store::{Part, Snapshot, StoreError},
};

/// The service `google.longrunning.Operations`. Made by [`Operations::longrunning`](crate::Operations::longrunning);
/// the [module](super) says what its methods do.
///
/// To be added to a tonic server or router, or to be routed to by axum. It takes messages that are compressed by gzip
/// or zstd, and compresses its own for callers that accept it. Most clients take messages of up to 4 MiB unless they
/// are told to take more: an operation is as large as its reply, while a page of a list is kept shorter than that, if
/// need be by leaving out the result of an operation.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct LongRunning {
    hub: Arc<Hub>,
    server: operations_server::OperationsServer<Methods>,
}

impl LongRunning {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        let server = operations_server::OperationsServer::new(Methods(Arc::clone(&hub)))
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Gzip)
            .send_compressed(Zstd);
        Self { hub, server }
    }
}

impl NamedService for LongRunning {
    const NAME: &'static str = operations_server::SERVICE_NAME;
}

/// It never fails and is always ready.
impl<B> Service<http::Request<B>> for LongRunning
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Looks at the call as it came, before anything is made of its metadata.
    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let owner = self.hub.settings.owner_of.as_ref().and_then(|owner_of| owner_of(&parts));
        let time_to_answer = timeout::time_to_answer(&parts.headers);
        parts.extensions.insert(Sender { owner, came: Instant::now(), time_to_answer });
        self.server.call(http::Request::from_parts(parts, body))
    }
}

impl fmt::Debug for LongRunning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LongRunning").finish_non_exhaustive()
    }
}

/// Who has sent a call, and how long its answer may take.
#[derive(Clone)]
struct Sender {
    owner: Option<Owner>,
    came: Instant,
    time_to_answer: Option<Duration>,
}

/// Who asks for operations.
struct Caller {
    hub: Arc<Hub>,
    sender: Sender,
}

impl Caller {
    fn owner(&self) -> Option<&Owner> {
        self.sender.owner.as_ref()
    }

    /// Whether the time to answer is over.
    fn is_late(&self) -> bool {
        let Sender { came, time_to_answer, .. } = &self.sender;
        time_to_answer.is_some_and(|time| came.elapsed() >= time)
    }

    /// What is known of the operation.
    async fn read(&self, id: OperationId, part: Part) -> Result<Snapshot, Status> {
        self.hub.read(id, self.owner(), part).await.map_err(|error| unavailable(&error))?.ok_or_else(status::not_found)
    }

    /// The same, whole: what was read already may lack the reply.
    async fn read_whole(&self, snapshot: Snapshot) -> Result<Snapshot, Status> {
        match snapshot.end.is_none() || self.hub.reads_all() {
            true => Ok(snapshot),
            false => self.read(snapshot.id, Part::Reply).await,
        }
    }
}

/// The methods, each in its own file.
struct Methods(Arc<Hub>);

impl Methods {
    /// Who asks, and for what.
    fn open<T>(&self, request: Request<T>) -> (Caller, T) {
        let (_, extensions, message) = request.into_parts();
        let unknown = || Sender { owner: None, came: Instant::now(), time_to_answer: None };
        let sender = extensions.get::<Sender>().cloned().unwrap_or_else(unknown);
        (Caller { hub: Arc::clone(&self.0), sender }, message)
    }
}

#[tonic::async_trait]
impl operations_server::Operations for Methods {
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let (caller, request) = self.open(request);
        list::list(&caller, &request).await.map(Response::new)
    }

    async fn get_operation(&self, request: Request<GetOperationRequest>) -> Result<Response<Operation>, Status> {
        let (caller, request) = self.open(request);
        get::get(&caller, id(&request.name)?).await.map(Response::new)
    }

    async fn delete_operation(&self, request: Request<DeleteOperationRequest>) -> Result<Response<()>, Status> {
        let (caller, request) = self.open(request);
        delete::delete(&caller, id(&request.name)?).await.map(Response::new)
    }

    async fn cancel_operation(&self, request: Request<CancelOperationRequest>) -> Result<Response<()>, Status> {
        let (caller, request) = self.open(request);
        cancel::cancel(&caller, id(&request.name)?).await.map(Response::new)
    }

    async fn wait_operation(&self, request: Request<WaitOperationRequest>) -> Result<Response<Operation>, Status> {
        let (caller, request) = self.open(request);
        wait::wait(&caller, id(&request.name)?, request.timeout).await.map(Response::new)
    }
}

fn id(name: &str) -> Result<OperationId, Status> {
    name::parse(name).ok_or_else(status::not_found)
}

/// The store has not answered, which says nothing of the operation.
fn unavailable(error: &StoreError) -> Status {
    warn!(error = error as &dyn Error, "the store did not answer");
    status::unavailable()
}
