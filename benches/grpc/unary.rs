//! A quick unary method of tonic's, bare and under each of the alternatives, called without a network.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::pending,
    hint::black_box,
    pin::pin,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio_stream::Empty;
use tonic::Status;
use tower::{Layer, Service, ServiceExt};
use tower_http::timeout::TimeoutLayer;
use tower_respond_async::{OnBudget, Operations, Policy, RespondAsyncLayer, longrunning::Methods};

use crate::{
    generated::{
        self,
        primes::{
            FindGapRequest, Gap, IsPrimeRequest, IsPrimeResponse, ListRequest, Prime,
            primes_server::{Primes, PrimesServer},
        },
    },
    support::callees::Calls,
};

/// Longer than any call takes.
const LIMIT: Duration = Duration::from_secs(10);

const QUICK: &str = "/primes.v1.Primes/IsPrime";
pub(crate) const SLOW: &str = "/primes.v1.Primes/FindGap";

/// What stands around the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    Nothing,
    TowerHttpTimeout,
    /// A policy under which a call that does not ask for an operation stays in line.
    Ours,
    /// One under which it ends with a status when its budget is over.
    OursWithStatus,
}

impl Around {
    pub(crate) const ALL: [Self; 4] = [Self::Nothing, Self::TowerHttpTimeout, Self::Ours, Self::OursWithStatus];
}

/// The application's service: one method answers at once, one never does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers;

#[tonic::async_trait]
impl Primes for Answers {
    async fn is_prime(&self, _: tonic::Request<IsPrimeRequest>) -> Result<tonic::Response<IsPrimeResponse>, Status> {
        Ok(tonic::Response::new(IsPrimeResponse { is_prime: true }))
    }

    async fn find_gap(&self, _: tonic::Request<FindGapRequest>) -> Result<tonic::Response<Gap>, Status> {
        pending().await
    }

    type ListStream = Empty<Result<Prime, Status>>;

    async fn list(&self, _: tonic::Request<ListRequest>) -> Result<tonic::Response<Self::ListStream>, Status> {
        Ok(tonic::Response::new(tokio_stream::empty()))
    }
}

pub(crate) fn layer(operations: &Operations, policy: Policy) -> RespondAsyncLayer {
    let methods = Methods::builder().descriptor_set(generated::FILE_DESCRIPTOR_SET).build().unwrap();
    operations.layer(policy).grpc(&methods)
}

/// Calls of the quick method with all around the service that is asked for.
pub(crate) fn calls(around: Around) -> Calls {
    let service = PrimesServer::new(Answers);
    let message = IsPrimeRequest { number: 7_919 };
    let operations = Operations::builder().build().unwrap();
    let policy = Policy::new().budget(LIMIT);
    match around {
        Around::Nothing => calls_of(service, QUICK, &message),
        Around::TowerHttpTimeout => {
            let limit = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LIMIT);
            calls_of(limit.layer(service), QUICK, &message)
        }
        Around::Ours => calls_of(layer(&operations, policy).layer(service), QUICK, &message),
        Around::OursWithStatus => {
            calls_of(layer(&operations, policy.on_budget(OnBudget::Status)).layer(service), QUICK, &message)
        }
    }
}

/// Calls of a method, one after the other, each to the end of its trailers.
pub(crate) fn calls_of<S, B>(service: S, method: &'static str, message: &impl Message) -> Calls
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Debug, Future: Send> + Clone + Send + 'static,
    B: Body<Error: Debug> + Send + 'static,
{
    let frame = framed(message);
    Box::new(move |count| {
        let mut service = service.clone();
        let requests: Vec<_> = (0..count).map(|_| request(method, frame.clone())).collect();
        Box::pin(async move {
            let begun = Instant::now();
            for request in requests {
                let response = service.ready().await.unwrap().call(request).await.unwrap();
                let mut body = pin!(response.into_body());
                while let Some(frame) = body.frame().await {
                    black_box(frame.unwrap());
                }
            }
            begun.elapsed().as_secs_f64() * 1e9
        })
    })
}

/// Makes a call. Gives the message that it is answered with.
pub(crate) async fn call<S, B, M>(service: S, mut request: Request<Full<Bytes>>, preference: Option<&'static str>) -> M
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Error: Debug>,
    M: Message + Default,
{
    if let Some(preference) = preference {
        request.headers_mut().insert("prefer", preference.parse().unwrap());
    }
    let response = service.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    M::decode(body.slice(5..)).unwrap()
}

/// A request as tonic's client sends it.
pub(crate) fn request(method: &str, frame: Bytes) -> Request<Full<Bytes>> {
    Request::post(format!("http://127.0.0.1:50051{method}"))
        .version(Version::HTTP_2)
        .header(header::TE, "trailers")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::USER_AGENT, "tonic/0.14.9")
        .body(Full::new(frame))
        .unwrap()
}

pub(crate) fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    message.encode(&mut frame).unwrap();
    frame.freeze()
}
