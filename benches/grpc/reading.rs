//! An operation that is read over gRPC, and a method that always answers with the same.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::Runtime;
use tonic::{Status, body::Body, codegen::BoxFuture, server::UnaryService};
use tonic_prost::ProstCodec;
use tower::{Layer, Service};
use tower_respond_async::{
    Operations, Policy,
    longrunning::messages::{GetOperationRequest, Operation},
};

use crate::{
    generated::primes::{FindGapRequest, primes_server::PrimesServer},
    support::callees::Calls,
    unary::{Answers, SLOW, call, calls_of, framed, layer, request},
};

const GET: &str = "/google.longrunning.Operations/GetOperation";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// By the service that tells of operations.
    Operation,
    /// By a method that knows the answer already.
    Constant,
}

impl Read {
    pub(crate) const ALL: [Self; 2] = [Self::Operation, Self::Constant];
}

/// Calls that read an operation which is running on this runtime.
pub(crate) fn calls(read: Read, runtime: &Runtime) -> Calls {
    let operations = Operations::builder().build().unwrap();
    let slow = layer(&operations, Policy::new().grace(Duration::ZERO)).layer(PrimesServer::new(Answers));
    let begin = request(SLOW, framed(&FindGapRequest { length: 300, from: 0, to: 0 }));
    runtime.block_on(async {
        let begun: Operation = call(slow, begin, Some("respond-async")).await;
        let message = GetOperationRequest { name: begun.name };
        let found: Operation = call(operations.longrunning(), request(GET, framed(&message)), None).await;
        match read {
            Read::Operation => calls_of(operations.longrunning(), GET, &message),
            Read::Constant => calls_of(Constant(found), GET, &message),
        }
    })
}

/// A method that always answers with this.
#[derive(Clone)]
struct Constant(Operation);

impl Service<Request<Full<Bytes>>> for Constant {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move {
            let mut server = tonic::server::Grpc::new(ProstCodec::default());
            Ok(server.unary(method, request).await)
        })
    }
}

impl UnaryService<GetOperationRequest> for Constant {
    type Response = Operation;
    type Future = BoxFuture<tonic::Response<Operation>, Status>;

    fn call(&mut self, _: tonic::Request<GetOperationRequest>) -> Self::Future {
        let answer = tonic::Response::new(self.0.clone());
        Box::pin(async { Ok(answer) })
    }
}
