//! The server: the application's service under the layer, and beside it on the same port the Operations service, the
//! monitor, health and reflection.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{Router, http::request};
use tokio_util::sync::CancellationToken;
use tonic::{
    codec::CompressionEncoding,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tower::Layer;
use tower_respond_async::{
    OnBudget, Operations, Owner, Policy,
    longrunning::{self, Methods},
};

use crate::{
    generated::{self, primes::primes_server::PrimesServer},
    primes::Arithmetic,
    shutdown::shut_down,
};

/// Serves until a signal says to stop.
pub(crate) async fn serve(listen: SocketAddr) -> Result<(), Box<dyn Error>> {
    let operations = Operations::builder().base_path("/operations").owner(user).build()?;
    let incoming = TcpIncoming::bind(listen).map_err(|error| format!("{listen}: {error}"))?.with_nodelay(Some(true));
    let application = Routes::from(application(&operations).await?);
    let closing = CancellationToken::new();
    let shut_down = shut_down(operations, closing.clone());
    println!("listening on http://{}", incoming.local_addr()?);
    let server = Server::builder().accept_http1(true).add_routes(application);
    tokio::select! {
        served = server.serve_with_incoming_shutdown(incoming, closing.cancelled()) => served?,
        () = shut_down => {}
    }
    Ok(())
}

async fn application(operations: &Operations) -> Result<Router, Box<dyn Error>> {
    let policy = Policy::new()
        .budget(Duration::from_secs(1))
        .on_budget(OnBudget::Status)
        // Who prefers an operation has it at once.
        .grace(Duration::ZERO)
        .handle(true);
    let slow = tower_respond_async::Routes::builder().route("/primes.v1.Primes/FindGap", policy).build()?;
    let methods = Methods::builder().descriptor_set(generated::FILE_DESCRIPTOR_SET).build()?;
    let primes = PrimesServer::new(Arithmetic)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);

    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<PrimesServer<Arithmetic>>().await;

    let services = Routes::new(operations.layer(slow).grpc(&methods).layer(primes))
        .add_service(operations.longrunning())
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        // What older clients ask for.
        .add_service(reflection().build_v1alpha()?);
    Ok(services.into_axum_router().nest_service("/operations", operations.monitor()))
}

/// What all services and their messages are, those in the details of errors too.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(generated::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(longrunning::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// Whose an operation is: the user's whom a proxy in front has authenticated, and named in this header.
fn user(request: &request::Parts) -> Option<Owner> {
    request.headers.get("x-user")?.to_str().ok().map(Owner::new)
}
