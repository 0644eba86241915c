//! The service beside others: on one port with HTTP, health and reflection; in tonic's own server; compressed.

use http::Method;
use tokio::net::TcpListener;
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tonic::{Code, codec::CompressionEncoding, server::NamedService, transport};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tower_respond_async::longrunning::{LongRunning, OperationsClient, messages::GetOperationRequest};

use crate::{
    client::{Exchange, Framing, request, within},
    stage::{Server, Stage, body, connect, of},
    work::binary,
};

async fn reflected(server: &Server, asked: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let mut client = ServerReflectionClient::new(server.channel().await);
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    within(answers.into_inner().next()).await.unwrap().unwrap().message_response.unwrap()
}

#[tokio::test]
async fn health_and_reflection_stand_beside_it() {
    let stage = Stage::own();
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    assert!(!server.get(&name, "ann").await.unwrap().done);

    let health = HealthClient::new(server.channel().await).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);

    let MessageResponse::ListServicesResponse(services) =
        reflected(&server, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no services")
    };
    assert!(services.service.iter().any(|service| service.name == LongRunning::NAME));
    for symbol in [LongRunning::NAME, "tower_respond_async.v1.OperationMetadata", "google.api.HttpBody"] {
        let asked = MessageRequest::FileContainingSymbol(symbol.to_owned());
        let described = reflected(&server, asked).await;
        assert!(matches!(described, MessageResponse::FileDescriptorResponse(_)), "{described:?}");
    }
}

#[tokio::test]
async fn it_is_served_by_tonics_own_server() {
    let stage = Stage::own();
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = transport::Server::builder().add_service(server.operations.longrunning());
    let serving = tokio::spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = OperationsClient::new(connect(address).await);
    stage.work.go(1);
    let ended = server.ended(&name, "ann").await;
    let got = within(client.get_operation(of("ann", GetOperationRequest { name }))).await.unwrap().into_inner();
    assert_eq!(got, ended);
    serving.abort();
}

#[tokio::test]
async fn a_method_that_is_not_there_is_unimplemented() {
    let server = Stage::own().server().await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = http::uri::PathAndQuery::from_static("/google.longrunning.Operations/PauseOperation");
    let error = client.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}

#[tokio::test]
async fn messages_are_compressed_both_ways() {
    let stage = Stage::own();
    let server = stage.server().await;
    let name = server.begin("/large", "ann").await;
    stage.work.go(1);
    let whole = server.ended(&name, "ann").await;
    assert_eq!(body(&whole).data.len(), 100_000);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = server.client().send_compressed(encoding).accept_compressed(encoding);
        let request = of("ann", GetOperationRequest { name: name.clone() });
        let answer = within(client.get_operation(request)).await.unwrap();
        assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), encoding.to_string().as_str());
        assert_eq!(answer.into_inner(), whole);
    }
    let request = of("ann", GetOperationRequest { name });
    let plain = within(server.client().get_operation(request)).await.unwrap();
    assert_eq!(plain.metadata().get("grpc-encoding"), None);
}

#[tokio::test]
async fn http_and_grpc_are_served_on_one_port() {
    let stage = Stage::own();
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    stage.work.go(1);
    assert_eq!(body(&server.ended(&name, "ann").await).data, binary());
    for framing in [Framing::Length, Framing::Http2] {
        let head = request(Method::GET, &format!("/{name}/status")).header("x-user", "ann").body(()).unwrap();
        let mut exchange = Exchange::begin(server.address, framing, head, 0).await;
        exchange.send(b"").await;
        let status = exchange.response().await;
        assert_eq!((status.status.as_u16(), &status.json()["status"]), (200, &"succeeded".into()));
    }
}
