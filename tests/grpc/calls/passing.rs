//! Calls that the layer leaves alone, and those that it is told of in other ways than by a descriptor set.

use std::time::Duration;

use axum::Router;
use http::uri::PathAndQuery;
use tokio_stream::StreamExt;
use tonic::{client::Grpc, transport::server::TcpIncoming};
use tonic_prost::ProstCodec;
use tower::Layer;
use tower_respond_async::{OnBudget, Operations, Policy, Routes};

use super::{
    stage::{RENDER, Stage, response},
    studio::{Order, Picture, Studio, methods, picture},
};

const PAINT: &str = "/studio.v1.Studio/Paint";

/// Under which nothing stays in line that can be detached.
fn hasty() -> Policy {
    Policy::new().budget(Duration::ZERO).grace(Duration::ZERO).on_budget(OnBudget::Status)
}

#[tokio::test]
async fn r13_streams_pass_untouched() {
    let stage = Stage::new(hasty()).await;
    let orders = || tokio_stream::iter([3, 4].map(|size| Order { size, ..Order::QUICK }));
    let mut client = Grpc::new(stage.channel.clone());
    for prefer in ["respond-async", "wait=0"] {
        let mut request = tonic::Request::new(orders());
        request.metadata_mut().insert("prefer", prefer.parse().unwrap());
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/studio.v1.Studio/Upload");
        let reply = client.client_streaming(request, path, ProstCodec::<Order, Picture>::default()).await.unwrap();
        assert_eq!(reply.into_inner(), picture(7));

        let mut request = tonic::Request::new(Order { size: 3, ..Order::QUICK });
        request.metadata_mut().insert("prefer", prefer.parse().unwrap());
        let path = PathAndQuery::from_static("/studio.v1.Studio/Watch");
        client.ready().await.unwrap();
        let pictures = client.server_streaming(request, path, ProstCodec::<Order, Picture>::default()).await.unwrap();
        let pictures: Vec<_> = pictures.into_inner().map(|picture| picture.unwrap().pixels.len()).collect().await;
        assert_eq!(pictures, [1, 2, 3]);

        let mut request = tonic::Request::new(orders());
        request.metadata_mut().insert("prefer", prefer.parse().unwrap());
        let path = PathAndQuery::from_static("/studio.v1.Studio/Exchange");
        client.ready().await.unwrap();
        let pictures = client.streaming(request, path, ProstCodec::<Order, Picture>::default()).await.unwrap();
        let pictures: Vec<_> = pictures.into_inner().map(|picture| picture.unwrap()).collect().await;
        assert_eq!(pictures, [picture(3), picture(4)]);
    }
}

#[tokio::test]
async fn a_method_of_unknown_type_stays_in_line() {
    let stage = Stage::new(hasty()).await;
    let reply = stage.call::<Picture>(PAINT, Order::QUICK.with("prefer", "respond-async")).await.unwrap();
    assert_eq!(*reply.get_ref(), picture(7));
}

#[tokio::test]
async fn a_method_whose_type_is_configured_needs_no_descriptor_set() {
    let routes = Routes::builder().route(PAINT, hasty().response_type("studio.v1.Picture")).build().unwrap();
    let stage = Stage::new(routes).await;
    let call = Order::SLOW.with("prefer", "respond-async");
    let operation: tower_respond_async::longrunning::messages::Operation =
        stage.call(PAINT, call).await.unwrap().into_inner();
    stage.studio.open();
    assert_eq!(response::<Picture>(&stage.wait(&operation.name).await), picture(7));
    // The other one is known, but there is no policy for it.
    let reply = stage.call::<Picture>(RENDER, Order::QUICK.with("prefer", "respond-async")).await.unwrap();
    assert_eq!(*reply.get_ref(), picture(7));
}

async fn paint() -> &'static str {
    tokio::task::yield_now().await;
    "painted\n"
}

#[tokio::test]
async fn http_requests_to_a_methods_path_are_http_requests() {
    let routes = Routes::builder().route(PAINT, hasty().response_type("studio.v1.Picture")).build().unwrap();
    let operations = Operations::builder().build().unwrap();
    let app = Router::new()
        .route(PAINT, axum::routing::post(paint))
        .layer(operations.layer(routes).grpc(&methods()))
        .nest_service("/operations", operations.monitor());
    let stage = Stage::serve(app, operations, Studio::new(None)).await;
    let accepted = stage.http("POST", PAINT).await;
    assert_eq!(accepted.status(), 202);
    let location = accepted.headers()["location"].to_str().unwrap().to_owned();
    loop {
        let result = stage.http("GET", &format!("{location}/result")).await;
        if result.status() == 200 {
            assert_eq!(result.headers()["content-type"], "text/plain; charset=utf-8");
            break;
        }
    }
}

#[tokio::test]
async fn one_of_the_services_of_a_tonic_server_can_be_wrapped() {
    let operations = Operations::builder().build().unwrap();
    let studio = Studio::new(None);
    let wrapped = operations.layer(hasty()).grpc(&methods()).layer(studio.clone());
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(operations.longrunning()).add_service(wrapped);
    let server = tokio::spawn(server.serve_with_incoming(incoming));
    let stage = Stage::serve(Router::new(), operations, studio).await.with_channel_to(address);
    let operation = stage.begin(Order::SLOW).await.unwrap();
    stage.studio.open();
    assert_eq!(response::<Picture>(&stage.wait(&operation.name).await), picture(7));
    server.abort();
}

#[tokio::test]
async fn a_tonic_server_can_be_wrapped_whole() {
    let operations = Operations::builder().build().unwrap();
    let studio = Studio::new(None);
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .layer(operations.layer(hasty()).grpc(&methods()))
        .add_service(studio.clone())
        .add_service(operations.longrunning());
    let server = tokio::spawn(server.serve_with_incoming(incoming));
    let stage = Stage::serve(Router::new(), operations, studio).await.with_channel_to(address);
    let operation = stage.begin(Order::SLOW).await.unwrap();
    stage.studio.open();
    assert_eq!(response::<Picture>(&stage.wait(&operation.name).await), picture(7));
    server.abort();
}
