//! What descriptor sets say of methods, and what the layer says of those whose calls it leaves alone.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, uri::PathAndQuery};
use tokio_stream::StreamExt;
use tonic::{Request, client::Grpc, transport::server::TcpIncoming};
use tonic_prost::ProstCodec;
use tower::Layer;
use tower_respond_async::{
    OnBudget, Operations, Policy, RespondAsyncLayer, Routes,
    longrunning::{
        FILE_DESCRIPTOR_SET, Methods,
        messages::{GetOperationRequest, WaitOperationRequest},
    },
};

use super::{
    stage::{RENDER, Stage, response},
    studio::{Order, Picture, Studio, descriptor_set, methods, picture},
};

const PAINT: &str = "/studio.v1.Studio/Paint";
const WATCH: &str = "/studio.v1.Studio/Watch";

fn hasty() -> Policy {
    Policy::new().budget(Duration::ZERO).grace(Duration::ZERO).on_budget(OnBudget::Status)
}

fn preferring<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("prefer", "respond-async".parse().unwrap());
    request
}

#[tokio::test]
async fn the_service_of_operations_is_never_made_operations() {
    let operations = Operations::builder().build().unwrap();
    let studio = Studio::new(None);
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let builder = Methods::builder().descriptor_set(FILE_DESCRIPTOR_SET);
    let methods = builder.descriptor_set(descriptor_set(".studio.v1.Picture")).build().unwrap();
    let server = tonic::transport::Server::builder()
        .layer(operations.layer(hasty()).grpc(&methods))
        .add_service(studio.clone())
        .add_service(operations.longrunning());
    let server = tokio::spawn(server.serve_with_incoming(incoming));
    let stage = Stage::serve(axum::Router::new(), operations, studio).await.with_channel_to(address);
    let begun = stage.begin(Order::SLOW).await.unwrap();

    let request = GetOperationRequest { name: begun.name.clone() };
    let found = stage.client().get_operation(preferring(request)).await.unwrap().into_inner();
    assert_eq!((&found.name, found.done), (&begun.name, false));

    let request = WaitOperationRequest { name: begun.name.clone(), timeout: None };
    let (plain, asking) = (stage.client(), stage.client());
    let waits = [plain, asking].map(|mut client| {
        let request = request.clone();
        async move { client.wait_operation(preferring(request)).await }
    });
    let [first, second] = waits;
    let unasked = async {
        let request = Request::new(request.clone());
        stage.client().wait_operation(request).await
    };
    let (first, second, unasked, ()) = tokio::join!(first, second, unasked, async { stage.studio.open() });
    for waited in [first, second, unasked] {
        let waited = waited.unwrap().into_inner();
        assert_eq!(waited.name, begun.name);
        assert_eq!(response::<Picture>(&waited), picture(7));
    }
    server.abort();
}

#[tokio::test]
async fn a_method_that_replies_with_operations_is_left_alone() {
    let described = Methods::builder().descriptor_set(descriptor_set(".google.longrunning.Operation")).build().unwrap();
    let configured = Routes::builder().route(RENDER, hasty().response_type("google.longrunning.Operation"));
    for (routes, methods) in [(hasty().into(), described), (configured.build().unwrap(), Methods::default())] {
        let stage = Stage::described(routes, &methods).await;
        let reply = stage.call::<Picture>(RENDER, Order::QUICK.with("prefer", "respond-async")).await.unwrap();
        assert_eq!(*reply.get_ref(), picture(7));
    }
}

#[tokio::test]
async fn r13_a_stream_is_one_whatever_the_policy_says_it_replies_with() {
    let routes = Routes::builder().route(WATCH, hasty().response_type("studio.v1.Picture")).build().unwrap();
    let stage = Stage::new(routes).await;
    let mut client = Grpc::new(stage.channel.clone());
    client.ready().await.unwrap();
    let (path, codec) = (PathAndQuery::from_static(WATCH), ProstCodec::<Order, Picture>::default());
    let order = preferring(Order { size: 3, ..Order::QUICK });
    let pictures = client.server_streaming(order, path, codec).await.unwrap();
    let pictures: Vec<_> = pictures.into_inner().map(|picture| picture.unwrap().pixels.len()).collect().await;
    assert_eq!(pictures, [1, 2, 3]);
}

#[tokio::test]
async fn the_type_that_a_descriptor_set_says_holds() {
    let routes = Routes::builder().route(RENDER, hasty().response_type("studio.v1.Sketch")).build().unwrap();
    let stage = Stage::new(routes).await;
    let begun = stage.begin(Order::SLOW).await.unwrap();
    stage.studio.open();
    assert_eq!(response::<Picture>(&stage.wait(&begun.name).await), picture(7));
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged as a layer of these routes, which is told of the methods, is applied to two services.
fn written(routes: Routes, methods: Option<&Methods>) -> Vec<String> {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let operations = Operations::builder().build().unwrap();
        let layer = operations.layer(routes);
        let layer = methods.into_iter().fold(layer, RespondAsyncLayer::grpc);
        drop([layer.layer(()), layer.layer(())]);
    });
    let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    written.lines().map(str::to_owned).collect()
}

#[track_caller]
fn only<'a>(lines: &'a [String], path: &str) -> &'a str {
    let found: Vec<_> = lines.iter().filter(|line| line.contains(path)).collect();
    assert_eq!(found.len(), 1, "{lines:?}");
    found[0]
}

#[test]
fn a_listed_method_that_stays_in_line_is_warned_of_by_name() {
    let others = ["/other.v1.Other/Do", "/google.longrunning.Operations/GetOperation"];
    let patterns =
        ["/studio.v1.Studio/{method}", "/unheard.v1.Of/{method}", "/{service}/List", "/reports/daily", "/a/{id}"];
    let listed = [RENDER, PAINT, WATCH].into_iter().chain(patterns).chain(others);
    let routes = || listed.clone().fold(Routes::builder(), |routes, path| routes.route(path, Policy::new())).build();
    let builder = Methods::builder().descriptor_set(FILE_DESCRIPTOR_SET);
    let methods = builder.descriptor_set(descriptor_set(".studio.v1.Picture")).build().unwrap();
    let lines = written(routes().unwrap(), Some(&methods));
    assert!(only(&lines, PAINT).contains("the type of the method's replies is unknown"));
    assert!(only(&lines, others[0]).contains("unknown"));
    assert!(only(&lines, WATCH).contains("streaming"));
    assert!(only(&lines, others[1]).contains("operations already"));
    assert!(only(&lines, patterns[1]).contains("unknown"));
    assert_eq!(lines.len(), 5, "{lines:?}");

    let untold = written(routes().unwrap(), None);
    for path in [RENDER, PAINT, WATCH, patterns[0], patterns[1], others[0], others[1]] {
        assert!(only(&untold, path).contains("unknown"));
    }
    assert_eq!(untold.len(), 7, "{untold:?}");
}

#[tokio::test]
async fn the_first_call_that_asks_for_an_operation_in_vain_is_warned_of() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _until_dropped = tracing::subscriber::set_default(subscriber);
    let stage = Stage::described(hasty().into(), &Methods::default()).await;
    for _ in 0..2 {
        stage.call::<Picture>(RENDER, Order::QUICK).await.unwrap();
        stage.call::<Picture>(RENDER, Order::QUICK.with("prefer", "respond-async")).await.unwrap();
    }
    let lines = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert_eq!(lines.matches(RENDER).count(), 1, "{lines}");
}

#[test]
fn a_unary_method_whose_policy_does_not_take_its_calls_is_not_called_a_stream() {
    let routes = Routes::builder().route(RENDER, Policy::new().methods([Method::GET])).build().unwrap();
    let lines = written(routes, Some(&methods()));
    assert!(only(&lines, RENDER).contains("POST"), "{lines:?}");
}

#[test]
fn a_policy_that_a_descriptor_set_contradicts_is_warned_of_by_name() {
    let wrong = || Policy::new().response_type("studio.v1.Sketch");
    let routes = Routes::builder().route(RENDER, wrong()).route(WATCH, wrong()).build().unwrap();
    let lines = written(routes, Some(&methods()));
    let line = only(&lines, RENDER);
    assert!(line.contains("studio.v1.Sketch") && line.contains("studio.v1.Picture"), "{line}");
    assert!(only(&lines, WATCH).contains("streaming"));
    let right = Routes::builder().route(RENDER, Policy::new().response_type("studio.v1.Picture")).build().unwrap();
    assert!(written(right, Some(&methods())).is_empty());
}
