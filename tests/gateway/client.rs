//! Requests to the gateway, and what comes back.

use std::{convert::Infallible, time::Duration};

use http_body_util::{BodyExt, Channel, Full, channel::Sender, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::{
    client::legacy::{Builder, Client},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;

use crate::process::Gateway;

/// Nothing here takes as long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The headers of a poll that waits for the end of an operation.
pub(crate) const FOLLOW: [(&str, &str); 1] = [("prefer", "wait=20")];

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(crate) fn send(gateway: &Gateway, request: Request<Body>) -> impl Future<Output = Response<Incoming>> + use<> {
    send_with(&Client::builder(TokioExecutor::new()), gateway, request)
}

/// Sends it over HTTP/2, as to a server that is known to speak it.
pub(crate) fn send_over_http_2(
    gateway: &Gateway,
    request: Request<Body>,
) -> impl Future<Output = Response<Incoming>> + use<> {
    send_with(Client::builder(TokioExecutor::new()).http2_only(true), gateway, request)
}

/// The request is on its way before the response is waited for.
fn send_with(
    client: &Builder,
    gateway: &Gateway,
    mut request: Request<Body>,
) -> impl Future<Output = Response<Incoming>> + use<> {
    let path = request.uri().path_and_query().expect("a path");
    *request.uri_mut() = format!("http://{}{path}", gateway.address).parse().expect("an address");
    let response = tokio::spawn(client.build_http().request(request));
    async move { timeout(PATIENCE, response).await.expect("a response in time").unwrap().unwrap() }
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let start = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(start, |request, (name, value)| request.header(*name, *value));
    request.body(body).unwrap()
}

pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    request(Method::GET, path, headers, empty())
}

pub(crate) fn post(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    request(Method::POST, path, headers, Full::from("the order").boxed_unsync())
}

pub(crate) fn empty() -> Body {
    Full::default().boxed_unsync()
}

/// A body, and where to put its chunks.
pub(crate) fn chunks() -> (Sender<Bytes, Infallible>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}

pub(crate) async fn body_of(response: Response<Incoming>) -> String {
    let body = timeout(PATIENCE, response.collect()).await.expect("a body in time").unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

pub(crate) async fn json_of(response: Response<Incoming>) -> Value {
    serde_json::from_str(&body_of(response).await).unwrap()
}

/// What `Location` says.
pub(crate) fn location_of(response: &Response<Incoming>) -> String {
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}
