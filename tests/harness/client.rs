//! Requests to the replicas.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use crate::order::Order;

#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer, as far as it matters.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// None where there is no whole answer.
    async fn send(&self, request: Request<Full<Bytes>>) -> Option<Answer> {
        const PATIENCE: Duration = Duration::from_secs(15);
        let answer = async {
            let response = self.0.request(request).await.ok()?;
            let (head, body) = response.into_parts();
            let location = head.headers.get(header::LOCATION).map(|location| location.to_str().unwrap().to_owned());
            let body = body.collect().await.ok()?.to_bytes();
            Some(Answer { status: head.status, location, body: String::from_utf8_lossy(&body).into_owned() })
        };
        timeout(PATIENCE, answer).await.ok()?
    }

    pub(crate) async fn get(&self, port: u16, path: &str) -> Option<Answer> {
        self.send(Request::get(format!("http://127.0.0.1:{port}{path}")).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(&self, port: u16, order: &Order) -> Option<Answer> {
        let path = if order.is_durable { "jobs" } else { "reports" };
        let uri = format!("http://127.0.0.1:{port}/{path}?milliseconds={}", order.milliseconds);
        let mut request = Request::builder().method(Method::POST).uri(uri);
        if order.is_keyed {
            request = request.header("idempotency-key", format!("\"{}\"", order.payload()));
        }
        if order.prefers_async {
            request = request.header("prefer", "respond-async");
        }
        self.send(request.body(Full::from(order.payload())).unwrap()).await
    }
}
