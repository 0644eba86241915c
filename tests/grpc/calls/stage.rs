//! An application over real sockets: axum and tonic on one port, and clients of both.

use std::net::SocketAddr;

use axum::{Router, body::Body};
use http::{Request, Response, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Status,
    client::Grpc,
    codec::CompressionEncoding,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower_respond_async::{
    Operations, OperationsBuilder, Owner, Routes,
    longrunning::{
        Methods, OperationsClient,
        messages::{GetOperationRequest, ListOperationsRequest, Operation, WaitOperationRequest, operation},
    },
};

use super::studio::{Order, Picture, Studio, methods};

pub(crate) const RENDER: &str = "/studio.v1.Studio/Render";

pub(crate) struct Stage {
    pub(crate) operations: Operations,
    pub(crate) studio: Studio,
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    server: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An owner for each name that a caller gives.
pub(crate) fn builder() -> OperationsBuilder {
    Operations::builder().owner(|parts| Some(Owner::new(parts.headers.get("x-user")?.to_str().ok()?)))
}

impl Stage {
    pub(crate) async fn new(routes: impl Into<Routes>) -> Self {
        Self::of(builder().build().unwrap(), Studio::new(None), routes).await
    }

    /// The service and `google.longrunning.Operations`, with the layer around the one, beside the monitor.
    pub(crate) async fn of(operations: Operations, studio: Studio, routes: impl Into<Routes>) -> Self {
        let app = application(&operations, studio.clone(), routes.into())
            .merge(tonic::service::Routes::new(operations.longrunning()).into_axum_router())
            .nest_service("/operations", operations.monitor());
        Self::serve(app, operations, studio).await
    }

    /// With these methods told to the layer.
    pub(crate) async fn described(routes: Routes, methods: &Methods) -> Self {
        let (operations, studio) = (builder().build().unwrap(), Studio::new(None));
        let layer = operations.layer(routes).grpc(methods);
        let app = Router::new().route_service("/studio.v1.Studio/{method}", studio.clone()).layer(layer);
        Self::serve(app, operations, studio).await
    }

    pub(crate) async fn serve(app: Router, operations: Operations, studio: Studio) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { operations, studio, address, channel: channel(address), server }
    }

    /// A call of the method, whose reply is expected to be of this type.
    pub(crate) async fn call<M>(
        &self,
        path: &'static str,
        request: impl Into<Call>,
    ) -> Result<tonic::Response<M>, Status>
    where
        M: Message + Default + 'static,
    {
        let Call { order, metadata, reads } = request.into();
        let mut request = tonic::Request::new(order);
        for (name, value) in metadata {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        let mut client = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        if let Some(encoding) = reads {
            client = client.accept_compressed(encoding);
        }
        client.ready().await.unwrap();
        client.unary(request, PathAndQuery::from_static(path), ProstCodec::<Order, M>::default()).await
    }

    pub(crate) async fn render(&self, request: impl Into<Call>) -> Result<Picture, Status> {
        self.call(RENDER, request).await.map(tonic::Response::into_inner)
    }

    /// Calls for an operation.
    pub(crate) async fn begin(&self, request: impl Into<Call>) -> Result<Operation, Status> {
        let call = request.into().with("prefer", "respond-async");
        self.call(RENDER, call).await.map(tonic::Response::into_inner)
    }

    /// With a channel to another server.
    pub(crate) fn with_channel_to(mut self, address: SocketAddr) -> Self {
        self.channel = channel(address);
        self
    }

    pub(crate) fn client(&self) -> OperationsClient<Channel> {
        OperationsClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Operation, Status> {
        let request = GetOperationRequest { name: name.to_owned() };
        self.client().get_operation(request).await.map(tonic::Response::into_inner)
    }

    /// Waits until the operation has ended.
    pub(crate) async fn wait(&self, name: &str) -> Operation {
        self.wait_as("", name).await
    }

    pub(crate) async fn wait_as(&self, user: &str, name: &str) -> Operation {
        loop {
            let request = WaitOperationRequest { name: name.to_owned(), timeout: None };
            let operation = self.client().wait_operation(of(user, request)).await.unwrap().into_inner();
            if operation.done {
                return operation;
            }
        }
    }

    /// The only operation that this user has, once there is one.
    pub(crate) async fn only_operation_of(&self, user: &str) -> Operation {
        loop {
            let listed = self.client().list_operations(of(user, ListOperationsRequest::default())).await.unwrap();
            if let Some(operation) = listed.into_inner().operations.pop() {
                return operation;
            }
        }
    }

    /// A request over HTTP/1.1, to the same port.
    pub(crate) async fn http(&self, method: &str, path: &str) -> Response<Incoming> {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        client.request(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let body = self.http("GET", path).await.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}

fn channel(address: SocketAddr) -> Channel {
    Endpoint::try_from(format!("http://{address}")).unwrap().connect_lazy()
}

/// The service with the layer around it.
pub(crate) fn application(operations: &Operations, studio: Studio, routes: Routes) -> Router {
    let layer = operations.layer(routes).grpc(&methods());
    Router::new().route_service("/studio.v1.Studio/{method}", studio).layer(layer)
}

/// A message of this user's, or of nobody's.
fn of<M>(user: &str, message: M) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    if !user.is_empty() {
        request.metadata_mut().insert("x-user", user.parse().unwrap());
    }
    request
}

/// A call, and how it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    order: Order,
    metadata: Vec<(&'static str, String)>,
    reads: Option<CompressionEncoding>,
}

impl From<Order> for Call {
    fn from(order: Order) -> Self {
        Self { order, metadata: Vec::new(), reads: None }
    }
}

impl Order {
    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Call {
        Call::from(self).with(name, value)
    }

    pub(crate) fn reading(self, encoding: CompressionEncoding) -> Call {
        Call { reads: Some(encoding), ..self.into() }
    }
}

impl Call {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }
}

/// The reply in an operation that has succeeded.
pub(crate) fn response<M: Message + Default + prost::Name>(operation: &Operation) -> M {
    match &operation.result {
        Some(operation::Result::Response(any)) => {
            assert_eq!(any.type_url, format!("type.googleapis.com/{}", M::full_name()));
            M::decode(&*any.value).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// The error in one that has failed.
pub(crate) fn error(operation: &Operation) -> tonic_types::Status {
    match &operation.result {
        Some(operation::Result::Error(status)) => status.clone(),
        other => panic!("{other:?}"),
    }
}

/// What an operation says of itself.
pub(crate) fn metadata(operation: &Operation) -> tower_respond_async::longrunning::messages::OperationMetadata {
    let any = operation.metadata.as_ref().unwrap();
    assert_eq!(any.type_url, "type.googleapis.com/tower_respond_async.v1.OperationMetadata");
    Message::decode(&*any.value).unwrap()
}
