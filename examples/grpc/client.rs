//! The client: begins a search as an operation, shows how far it is, and prints what it has found. Ctrl-C cancels it.

use std::{error::Error, time::Duration};

use axum::http::uri::PathAndQuery;
use tokio::select;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower_respond_async::longrunning::{
    OperationsClient,
    messages::{
        CancelOperationRequest, Operation, OperationMetadata, WaitOperationRequest, operation::Result as Outcome,
    },
};

use crate::{
    arguments::Search,
    generated::primes::{FindGapRequest, Gap},
    stop_signal::stop_signal,
};

/// How often at least the progress is shown.
const PAUSE: Duration = Duration::from_secs(1);

/// Says to the server whose calls these are.
#[derive(Clone)]
struct Signed(MetadataValue<Ascii>);

type Connection = InterceptedService<Channel, Signed>;

impl Interceptor for Signed {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("x-user", self.0.clone());
        Ok(request)
    }
}

/// Searches, to the end or to Ctrl-C.
pub(crate) async fn find_gap(search: Search) -> Result<(), Box<dyn Error>> {
    let Search { server, user, request } = search;
    let channel =
        Endpoint::from_shared(server.clone())?.connect().await.map_err(|error| format!("{server}: {error}"))?;
    let connection = InterceptedService::new(channel, Signed(user.parse()?));
    let begun = begin(connection.clone(), request).await.map_err(|status| told(&status))?;
    println!("{} has begun", begun.name);

    let mut operations = OperationsClient::new(connection);
    let name = begun.name.clone();
    let done = select! {
        done = follow(operations.clone(), begun.clone()) => done?,
        () = stop_signal() => {
            println!("{name} is being canceled");
            operations.cancel_operation(CancelOperationRequest { name }).await.map_err(|status| told(&status))?;
            follow(operations, begun).await?
        }
    };
    match done.result {
        Some(Outcome::Response(found)) => {
            let Gap { start, end } = found.to_msg()?;
            println!("found: {start} and {end}, which are {} apart", end - start);
            Ok(())
        }
        Some(Outcome::Error(error)) => Err(told(&Status::new(Code::from_i32(error.code), error.message)).into()),
        None => Err("the operation is done and has no result".into()),
    }
}

/// Calls the method as one whose reply is an operation, which is what it is for those who prefer that.
async fn begin(connection: Connection, request: FindGapRequest) -> Result<Operation, Status> {
    let mut request = Request::new(request);
    request.metadata_mut().insert("prefer", MetadataValue::from_static("respond-async"));
    let mut client = Grpc::new(connection);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let method = PathAndQuery::from_static("/primes.v1.Primes/FindGap");
    let codec = ProstCodec::<FindGapRequest, Operation>::default();
    Ok(client.unary(request, method, codec).await?.into_inner())
}

/// Shows how far an operation is until it is done.
async fn follow(
    mut operations: OperationsClient<Connection>,
    mut operation: Operation,
) -> Result<Operation, Box<dyn Error>> {
    while !operation.done {
        let name = operation.name;
        let timeout = Some(PAUSE.try_into()?);
        let waited = operations.wait_operation(WaitOperationRequest { name, timeout }).await;
        operation = waited.map_err(|status| told(&status))?.into_inner();
        let metadata = operation.metadata.as_ref().map(prost_types::Any::to_msg::<OperationMetadata>).transpose()?;
        if let Some(progress) = metadata.and_then(|metadata| metadata.progress) {
            println!("{:5.1} % {}", progress.fraction * 100.0, progress.message);
        }
    }
    Ok(operation)
}

fn told(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
