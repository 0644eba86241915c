//! An application that speaks HTTP and gRPC on one port, and what one asks of it.

use std::{fmt::Debug, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_types::pb;
use tower::ServiceExt;
use tower_respond_async::{
    Operations, OperationsBuilder, Owner, Policy,
    longrunning::{
        OperationsClient,
        messages::{GetOperationRequest, HttpBody, Operation, OperationMetadata, WaitOperationRequest, operation},
    },
    store::Store,
};

use crate::{
    client::within,
    engines::Place,
    tap::{self, Tap},
    work::Work,
};

/// What has not come true by then is taken not to.
const PATIENCE: Duration = Duration::from_secs(45);

#[derive(Debug)]
pub(crate) struct Stage {
    place: Place,
    pub(crate) work: Arc<Work>,
}

pub(crate) struct Server {
    pub(crate) operations: Operations,
    pub(crate) tap: Arc<tap::State>,
    pub(crate) client: OperationsClient<Channel>,
    pub(crate) address: SocketAddr,
    router: Router,
    serving: JoinHandle<()>,
}

/// Most of the tests are about what is detached. None depends on how small the budget is.
pub(crate) fn impatient() -> Policy {
    Policy::new().budget(Duration::from_millis(20)).handle(true)
}

pub(crate) fn builder() -> OperationsBuilder {
    Operations::builder().owner(|request| Some(Owner::new(request.headers.get("x-user")?.to_str().ok()?)))
}

impl Stage {
    pub(crate) fn at(place: Place) -> Self {
        Self { place, work: Work::new() }
    }

    pub(crate) fn own() -> Self {
        Self::at(Place::Own)
    }

    /// One replica's way to the store.
    pub(crate) async fn open(&self) -> Option<Arc<dyn Store>> {
        self.place.open().await
    }

    pub(crate) async fn server(&self) -> Server {
        self.server_of(builder(), impatient()).await
    }

    pub(crate) async fn server_of(&self, builder: OperationsBuilder, policy: Policy) -> Server {
        let tap = tap::State::new();
        let operations = match self.place.open().await {
            None => builder.build().unwrap(),
            Some(store) => {
                let operations = builder.store(Tap::new(store, Arc::clone(&tap))).build().unwrap();
                tap.leased().await;
                operations
            }
        };
        let work = Arc::clone(&self.work);
        let router = Router::new()
            .fallback(move |request: Request<Body>| Arc::clone(&work).handle(request))
            .layer(operations.layer(policy))
            .nest_service("/operations", operations.monitor())
            .merge(grpc(&operations));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = router.clone();
        let serving = tokio::spawn(async move { axum::serve(listener, served).await.unwrap() });
        let client = OperationsClient::new(connect(address).await);
        Server { operations, tap, client, address, router, serving }
    }
}

/// The services over gRPC: those of operations, of health and of reflection.
fn grpc(operations: &Operations) -> Router {
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tower_respond_async::longrunning::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let routes = Routes::new(operations.longrunning()).add_service(health).add_service(reflection);
    // What is not found is left to the rest of the application.
    routes.into_axum_router().reset_fallback()
}

pub(crate) async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

impl Server {
    pub(crate) async fn channel(&self) -> Channel {
        connect(self.address).await
    }

    pub(crate) fn client(&self) -> OperationsClient<Channel> {
        self.client.clone()
    }

    /// Begins an operation over HTTP, and returns its name.
    pub(crate) async fn begin(&self, path: &str, user: &str) -> String {
        let accepted = self.http(Method::POST, path, user).await;
        assert_eq!(accepted.status(), StatusCode::ACCEPTED);
        let location = accepted.headers()["location"].to_str().unwrap();
        location.strip_prefix('/').unwrap().to_owned()
    }

    pub(crate) async fn http(&self, method: Method, path: &str, user: &str) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).header("x-user", user);
        within(self.router.clone().oneshot(request.body(Body::empty()).unwrap())).await.unwrap()
    }

    /// What the monitor says of the operation.
    pub(crate) async fn status(&self, name: &str, user: &str) -> Value {
        let answer = self.http(Method::GET, &format!("/{name}/status"), user).await;
        assert_eq!(answer.status(), StatusCode::OK);
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    pub(crate) async fn get(&self, name: &str, user: &str) -> Result<Operation, tonic::Status> {
        let request = of(user, GetOperationRequest { name: name.to_owned() });
        within(self.client().get_operation(request)).await.map(tonic::Response::into_inner)
    }

    /// Waits for the end of the operation.
    pub(crate) async fn ended(&self, name: &str, user: &str) -> Operation {
        eventually(async || {
            let request = of(user, WaitOperationRequest { name: name.to_owned(), timeout: None });
            let operation = self.client().wait_operation(request).await.unwrap().into_inner();
            if operation.done { Ok(operation) } else { Err(operation) }
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A call of this user's.
pub(crate) fn of<T>(user: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("x-user", user.parse().unwrap());
    request
}

pub(crate) fn metadata(operation: &Operation) -> OperationMetadata {
    operation.metadata.as_ref().unwrap().to_msg().unwrap()
}

/// The answer over HTTP that the operation ended with.
#[track_caller]
pub(crate) fn body(operation: &Operation) -> HttpBody {
    match &operation.result {
        Some(operation::Result::Response(response)) => response.to_msg().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn error(operation: &Operation) -> &pb::Status {
    match &operation.result {
        Some(operation::Result::Error(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Tries again and again until it is as it should be.
pub(crate) async fn eventually<T, E: Debug>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match within(attempt()).await {
            Ok(found) => return found,
            Err(found) => assert!(begun.elapsed() < PATIENCE, "it stays so: {found:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
