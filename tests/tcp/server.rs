//! Servers to test: one application in front of all the ways there are to serve it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, serve::ListenerExt};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};
use tower_respond_async::{Monitor, Operations, OperationsBuilder, Policy, RequestBody, RespondAsync};

use crate::client::{Framing, within};

/// A way to serve an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// `axum::serve` with a router.
    Axum,
    /// hyper-util's builder that speaks both protocols, without axum.
    Auto,
    /// hyper's builders of one protocol each, without axum.
    Http1,
    Http2,
}

/// Every way to serve with every way to send a request.
pub(crate) const ALL: [(Front, Framing); 9] = [
    (Front::Axum, Framing::Length),
    (Front::Axum, Framing::Chunked),
    (Front::Axum, Framing::Http2),
    (Front::Auto, Framing::Length),
    (Front::Auto, Framing::Chunked),
    (Front::Auto, Framing::Http2),
    (Front::Http1, Framing::Length),
    (Front::Http1, Framing::Chunked),
    (Front::Http2, Framing::Http2),
];

/// Those of them that speak HTTP/1.
pub(crate) const HTTP1: [Front; 3] = [Front::Axum, Front::Auto, Front::Http1];

/// Those of them that speak HTTP/2.
pub(crate) const HTTP2: [Front; 3] = [Front::Axum, Front::Auto, Front::Http2];

type Handling = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Infallible>> + Send>>;
type Handler = Arc<dyn Fn(Request<Body>) -> Handling + Send + Sync>;

/// A server on a port of its own. It stops when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) operations: Operations,
    stopping: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves one handler, behind the layer, and the monitor at `/operations`.
    pub(crate) async fn start<F, Fut>(front: Front, policy: Policy, handler: F) -> Self
    where
        F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_with(front, Operations::builder(), policy, handler).await
    }

    pub(crate) async fn start_with<F, Fut>(
        front: Front,
        operations: OperationsBuilder,
        policy: Policy,
        handler: F,
    ) -> Self
    where
        F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let operations = operations.build().unwrap();
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        match front {
            Front::Axum => Self::serve_router(router(&operations, policy, handler), operations).await,
            Front::Auto | Front::Http1 | Front::Http2 => {
                let work = operations.layer(policy).layer(Work(handler));
                let bare = Bare { work, monitor: operations.monitor() };
                Self::serve_bare(front, bare, operations).await
            }
        }
    }

    pub(crate) async fn serve_router(router: Router, operations: Operations) -> Self {
        let (listener, address) = listen().await;
        let stopping = CancellationToken::new();
        let stop = stopping.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
            axum::serve(listener, router).with_graceful_shutdown(stop).await.unwrap();
        });
        Self { address, operations, stopping, serving: Some(serving) }
    }

    async fn serve_bare(front: Front, service: Bare, operations: Operations) -> Self {
        let (listener, address) = listen().await;
        let stopping = CancellationToken::new();
        let stop = stopping.clone();
        let serving = tokio::spawn(async move {
            let connections = GracefulShutdown::new();
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let stream = accepted.unwrap().0;
                stream.set_nodelay(true).unwrap();
                let stream = TokioIo::new(stream);
                let service = TowerToHyperService::new(service.clone());
                match front {
                    Front::Http1 => {
                        spawn(connections.watch(conn::http1::Builder::new().serve_connection(stream, service)));
                    }
                    Front::Http2 => {
                        let builder = conn::http2::Builder::new(TokioExecutor::new());
                        spawn(connections.watch(builder.serve_connection(stream, service)));
                    }
                    Front::Axum | Front::Auto => {
                        let builder = auto::Builder::new(TokioExecutor::new());
                        let connection = builder.serve_connection_with_upgrades(stream, service);
                        spawn(connections.watch(connection.into_owned()));
                    }
                }
            }
            connections.shutdown().await;
        });
        Self { address, operations, stopping, serving: Some(serving) }
    }

    /// Takes no more connections and waits until those there are have ended.
    pub(crate) async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(serving) = self.serving.take() {
            within(serving).await.unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.cancel();
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

/// Budgets in the tests are small, so that no test takes long; none depends on how small.
pub(crate) fn impatient() -> Policy {
    Policy::new().budget(Duration::from_millis(20))
}

/// Nothing is detached but by preference.
pub(crate) fn patient() -> Policy {
    Policy::new().budget(Duration::from_secs(3_600))
}

fn router(operations: &Operations, policy: Policy, handler: Handler) -> Router {
    Router::new()
        .fallback(move |request: Request<Body>| handler(request))
        .layer(operations.layer(policy))
        .nest_service("/operations", operations.monitor())
}

/// The same without a router, nor any body but hyper's.
#[derive(Clone)]
struct Bare {
    work: RespondAsync<Work>,
    monitor: Monitor,
}

#[derive(Clone)]
struct Work(Handler);

impl Service<Request<RequestBody<Incoming>>> for Work {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Response<Body>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Incoming>>) -> Self::Future {
        let handling = (self.0)(request.map(Body::new));
        Box::pin(async move { Ok(handling.await) })
    }
}

impl Service<Request<Incoming>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<Response<Body>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if request.uri().path().starts_with("/operations") {
            let answer = self.monitor.call(request);
            Box::pin(async move { Ok(answer.await?.map(Body::new)) })
        } else {
            let answer = self.work.call(request);
            Box::pin(async move { Ok(answer.await?.map(Body::new)) })
        }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// How a connection ends is the client's to see.
fn spawn<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static) {
    tokio::spawn(async move { drop(connection.await) });
}
