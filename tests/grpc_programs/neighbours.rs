//! What is on the same port as the wrapped service.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Command,
};

use prost::Message;
use prost_types::FileDescriptorProto;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::server::Server;

async fn connect(server: &Server) -> Channel {
    Channel::from_shared(server.url.clone()).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn health_is_told_of_the_wrapped_service() {
    let server = Server::start();
    let mut health = HealthClient::new(connect(&server).await);
    let request = |service: &str| HealthCheckRequest { service: service.into() };
    let checked = health.check(request("primes.v1.Primes")).await.unwrap().into_inner();
    assert_eq!(checked.status(), ServingStatus::Serving);
    assert_eq!(health.check(request("primes.v1.Unknown")).await.unwrap_err().code(), Code::NotFound);
}

async fn reflect(server: &Server, request: MessageRequest) -> MessageResponse {
    let mut reflection = ServerReflectionClient::new(connect(server).await);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap().message_response.unwrap()
}

#[tokio::test]
async fn reflection_knows_the_services_and_what_operations_hold() {
    let server = Server::start();
    let MessageResponse::ListServicesResponse(listed) =
        reflect(&server, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services")
    };
    let services: BTreeSet<_> = listed.service.into_iter().map(|service| service.name).collect();
    for service in ["primes.v1.Primes", "google.longrunning.Operations", "grpc.health.v1.Health"] {
        assert!(services.contains(service), "{services:?}");
    }

    for message in ["primes.v1.Gap", "tower_respond_async.v1.OperationMetadata", "google.rpc.ErrorInfo"] {
        let MessageResponse::FileDescriptorResponse(found) =
            reflect(&server, MessageRequest::FileContainingSymbol(message.into())).await
        else {
            panic!("nothing is known of {message}")
        };
        let files = found.file_descriptor_proto.iter().map(|file| FileDescriptorProto::decode(&**file).unwrap());
        let name = message.rsplit('.').next().unwrap();
        assert!(files.flat_map(|file| file.message_type).any(|described| described.name() == name), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_on_request() {
    let mut server = Server::start();
    // It listens to signals once it has said where it listens.
    terminate(&server);
    assert_eq!(server.program.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_caller_that_never_ends_does_not_keep_the_server_from_ending() {
    let mut server = Server::start();
    let address = server.url.strip_prefix("http://").unwrap();
    let mut caller = TcpStream::connect(address).unwrap();
    let head = "POST /primes.v1.Primes/IsPrime HTTP/1.1\r\nhost: primes\r\ncontent-type: application/grpc\r\n\
                content-length: 9\r\nexpect: 100-continue\r\n\r\n";
    caller.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(&caller).read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");

    terminate(&server);
    while TcpStream::connect(address).is_ok() {}
    assert!(server.program.child.try_wait().unwrap().is_none(), "it waits for the caller at first");
    terminate(&server);
    assert_eq!(server.program.child.wait().unwrap().code(), Some(0));
}

fn terminate(server: &Server) {
    let sent = Command::new("kill").args(["-TERM", &server.program.child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
