//! Serves connections: the status monitor under its base path, the backend behind the layer everywhere else.

use std::{convert::Infallible, error::Error, net::IpAddr, sync::Arc};

use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    header::UPGRADE,
    service::service_fn,
};
pub(crate) use hyper_util::server::graceful::GracefulShutdown as Connections;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::TcpStream;
use tower::{Layer, ServiceExt};
use tower_respond_async::{Monitor, Operations, RespondAsync, RespondAsyncLayer};
use tracing::debug;

use crate::{
    headers,
    proxy::{Backend, Proxy},
    refusal::Refusal,
    settings::Settings,
};

/// Makes of a refusal the reply of an operation.
type ReplyTo = fn(Refusal) -> Response<Bytes>;

type ResponseBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// What all connections share.
pub(crate) struct Gateway {
    base_path: Arc<str>,
    monitor: Monitor,
    layer: RespondAsyncLayer<ReplyTo>,
    backend: Arc<Backend>,
    server: auto::Builder<TokioExecutor>,
}

impl Gateway {
    pub(crate) fn new(settings: &Settings, operations: &Operations) -> Self {
        let mut server = auto::Builder::new(TokioExecutor::new());
        // With a timer, clients that are slow to send their headers are not waited for without end.
        server.http1().timer(TokioTimer::new());
        server.http2().timer(TokioTimer::new());
        Self {
            base_path: settings.base_path.as_str().into(),
            monitor: operations.monitor(),
            layer: operations.layer(settings.operations.routes()).map_service_error(Refusal::into_response),
            backend: Arc::new(Backend::new(settings)),
            server,
        }
    }

    /// Serves a connection, HTTP/1 or HTTP/2, in a task of its own.
    pub(crate) fn serve(&self, stream: TcpStream, client: IpAddr, connections: &Connections) {
        let _without_it_is_slower = stream.set_nodelay(true);
        let proxy = Proxy::new(Arc::clone(&self.backend), client.to_canonical());
        let site = Site {
            base_path: Arc::clone(&self.base_path),
            monitor: self.monitor.clone(),
            proxy: self.layer.layer(proxy),
        };
        let answer = service_fn(move |request| site.clone().answer(request));
        let connection = self.server.serve_connection_with_upgrades(TokioIo::new(stream), answer).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(error, "a connection broke");
            }
        });
    }
}

/// What one client is served.
#[derive(Clone)]
struct Site {
    base_path: Arc<str>,
    monitor: Monitor,
    proxy: RespondAsync<Proxy, ReplyTo>,
}

impl Site {
    async fn answer(self, mut request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
        let below = request.uri().path().strip_prefix(&*self.base_path);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return self.monitor.oneshot(request).await.map(boxed);
        }
        // The layer lets upgrades pass, so what is not going to be one must not look like it.
        if !headers::wants_websocket(&request) {
            request.headers_mut().remove(UPGRADE);
        }
        Ok(match self.proxy.oneshot(request).await {
            Ok(response) => boxed(response),
            Err(refusal) => boxed(refusal.into_response().map(Full::new)),
        })
    }
}

fn boxed<B>(response: Response<B>) -> Response<ResponseBody>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}
