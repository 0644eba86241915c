//! Passes requests on to the backend and its responses back, both as streams.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    header::{HOST, HeaderValue},
    http::uri::{Authority, Scheme},
    upgrade::{self, OnUpgrade},
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::time::timeout;
use tower::Service;
use tower_respond_async::RequestBody;
use tracing::debug;

use crate::{headers, refusal::Refusal, settings::Settings};

/// How long an idle connection is kept: shorter than servers keep theirs (gunicorn 2 s, Node.js and uvicorn 5 s), so
/// that no request is sent on one which the backend is about to close.
const IDLE_TIME: Duration = Duration::from_millis(1500);

/// The backend, and the connections to it.
#[derive(Debug)]
pub(crate) struct Backend {
    authority: Authority,
    client: legacy::Client<HttpConnector, RequestBody<Incoming>>,
    timeout: Option<Duration>,
    trust_forwarded: bool,
}

impl Backend {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect_timeout));
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .build(connector);
        Self {
            authority: settings.upstream.clone(),
            client,
            timeout: settings.upstream_timeout,
            trust_forwarded: settings.trust_forwarded,
        }
    }

    /// The `Host` that the client asked for is kept, so that the backend writes the links that its clients need.
    fn prepare(&self, request: &mut Request<RequestBody<Incoming>>, client: IpAddr) -> Result<(), Refusal> {
        let host = headers::host(request)?;
        let received = request.version();
        let address = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(request.uri().path_and_query().map_or("/", |path| path.as_str()));
        *request.uri_mut() = address.build().map_err(Refusal::Address)?;
        *request.version_mut() = Version::HTTP_11;

        let headers = request.headers_mut();
        headers::remove_hop_by_hop(headers);
        headers::join_cookies(headers);
        headers::set_forwarded(headers, client, host.as_ref(), self.trust_forwarded);
        headers::add_via(headers, received);
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
            headers.insert(HOST, host);
        }
        Ok(())
    }

    async fn send(&self, request: Request<RequestBody<Incoming>>) -> Result<Response<Incoming>, Refusal> {
        let response = self.client.request(request);
        Ok(match self.timeout {
            Some(patience) => timeout(patience, response).await.map_err(|_| Refusal::Silent)??,
            None => response.await?,
        })
    }
}

/// The backend as one of its clients sees it.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    backend: Arc<Backend>,
    client: IpAddr,
}

impl Proxy {
    pub(crate) fn new(backend: Arc<Backend>, client: IpAddr) -> Self {
        Self { backend, client }
    }

    async fn pass_on(self, mut request: Request<RequestBody<Incoming>>) -> Result<Response<Incoming>, Refusal> {
        if request.method() == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        let websocket = headers::wants_websocket(&request).then(|| upgrade::on(&mut request));
        self.backend.prepare(&mut request, self.client)?;
        if websocket.is_some() {
            headers::set_websocket(request.headers_mut());
        }

        let mut response = self.backend.send(request).await?;
        // This connection's own, whatever the backend's was.
        *response.version_mut() = Version::HTTP_11;
        headers::remove_hop_by_hop(response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let client = websocket.ok_or(Refusal::Switched)?;
            headers::set_websocket(response.headers_mut());
            tokio::spawn(tunnel(client, upgrade::on(&mut response)));
        }
        Ok(response)
    }
}

impl Service<Request<RequestBody<Incoming>>> for Proxy {
    type Response = Response<Incoming>;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Refusal>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Incoming>>) -> Self::Future {
        Box::pin(self.clone().pass_on(request))
    }
}

/// Carries a WebSocket until either side ends it.
async fn tunnel(client: OnUpgrade, backend: OnUpgrade) {
    let carried = async {
        let (client, backend) = tokio::try_join!(client, backend).map_err(io::Error::other)?;
        tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(backend)).await
    };
    match carried.await {
        Ok((sent, received)) => debug!(sent, received, "a WebSocket ended"),
        Err(error) => debug!(%error, "a WebSocket broke"),
    }
}
