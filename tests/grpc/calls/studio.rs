//! A gRPC service under test. What it does is said by each order; slow ones wait until the test opens the gate.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use tokio::sync::{Semaphore, watch};
use tokio_stream::{Stream, StreamExt};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    codec::CompressionEncoding,
    server::{Grpc, NamedService},
};
use tonic_prost::ProstCodec;
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, service_fn};
use tower_respond_async::{OperationHandle, longrunning::Methods};

/// What to do.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Order {
    /// Wait for the gate.
    #[prost(bool, tag = "1")]
    pub(crate) waits: bool,
    /// End in an error with details.
    #[prost(bool, tag = "2")]
    pub(crate) fails: bool,
    /// The size of the picture, in bytes.
    #[prost(uint32, tag = "3")]
    pub(crate) size: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Picture {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) pixels: Vec<u8>,
}

impl Order {
    pub(crate) const QUICK: Self = Self { waits: false, fails: false, size: 7 };
    pub(crate) const SLOW: Self = Self { waits: true, ..Self::QUICK };
}

impl prost::Name for Picture {
    const NAME: &'static str = "Picture";
    const PACKAGE: &'static str = "studio.v1";
}

/// The picture of this size.
pub(crate) fn picture(size: u32) -> Picture {
    Picture { pixels: (0..size).map(|index| (index / 64) as u8).collect() }
}

#[derive(Clone, Debug)]
pub(crate) struct Studio {
    /// How many slow orders may go on.
    gate: Arc<Semaphore>,
    /// How many orders have been begun, and how many of those were waited for.
    begun: watch::Sender<u32>,
    seen: Arc<AtomicU32>,
    /// How many orders have been given up.
    pub(crate) canceled: Arc<Semaphore>,
    /// How messages are sent to those who read it.
    compression: Option<CompressionEncoding>,
}

impl Studio {
    pub(crate) fn new(compression: Option<CompressionEncoding>) -> Self {
        let (gate, canceled) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        Self { gate, begun: watch::Sender::new(0), seen: Arc::default(), canceled, compression }
    }

    /// How many orders have been begun.
    pub(crate) fn count(&self) -> u32 {
        *self.begun.borrow()
    }

    /// Waits until one more order has begun than had when it was last asked.
    pub(crate) async fn begun(&self) {
        let mut begun = self.begun.subscribe();
        let seen = self.seen.fetch_add(1, Ordering::SeqCst);
        begun.wait_for(|begun| *begun > seen).await.unwrap();
    }

    /// Lets one slow order go on.
    pub(crate) fn open(&self) {
        self.gate.add_permits(1);
    }

    async fn render(self, request: Request<Order>) -> Result<Response<Picture>, Status> {
        /// Tells of an order that is given up.
        struct Working(Option<Arc<Semaphore>>);
        impl Drop for Working {
            fn drop(&mut self) {
                if let Some(canceled) = self.0.take() {
                    canceled.add_permits(1);
                }
            }
        }
        let mut working = Working(Some(Arc::clone(&self.canceled)));
        self.begun.send_modify(|begun| *begun += 1);
        if let Some(handle) = request.extensions().get::<OperationHandle>() {
            handle.set_progress(0.5);
        }
        let order = request.into_inner();
        if order.waits {
            self.gate.acquire().await.unwrap().forget();
        }
        working.0 = None;
        if order.fails {
            let mut details = ErrorDetails::with_bad_request_violation("size", "too dark");
            details.set_error_info("TOO_DARK", "studio", [("pixels".to_owned(), "7".to_owned())]);
            let mut status = Status::with_error_details(Code::InvalidArgument, "cannot paint: n\u{f6} light", details);
            status.metadata_mut().insert("x-reason", "night".parse().unwrap());
            return Err(status);
        }
        let mut response = Response::new(picture(order.size));
        response.metadata_mut().insert("x-studio", "blue".parse().unwrap());
        response.metadata_mut().insert_bin("x-seal-bin", tonic::metadata::BinaryMetadataValue::from_bytes(b"\0\xff"));
        Ok(response)
    }

    async fn upload(self, request: Request<Streaming<Order>>) -> Result<Response<Picture>, Status> {
        let sizes: Vec<u32> = request.into_inner().map(|order| order.unwrap().size).collect().await;
        Ok(Response::new(picture(sizes.iter().sum())))
    }

    async fn exchange(self, request: Request<Streaming<Order>>) -> Result<Response<Pictures>, Status> {
        let pictures = request.into_inner().map(|order| order.map(|order| picture(order.size)));
        Ok(Response::new(Box::pin(pictures)))
    }

    async fn watch(self, request: Request<Order>) -> Result<Response<Pictures>, Status> {
        let size = request.into_inner().size;
        let pictures = tokio_stream::iter((1..=size).map(|size| Ok(picture(size))));
        Ok(Response::new(Box::pin(pictures)))
    }
}

type Pictures = Pin<Box<dyn Stream<Item = Result<Picture, Status>> + Send>>;

impl NamedService for Studio {
    const NAME: &'static str = "studio.v1.Studio";
}

impl<B> Service<http::Request<B>> for Studio
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<tower::BoxError> + Send,
    B::Data: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let studio = self.clone();
        let mut grpc = Grpc::new(ProstCodec::<Picture, Order>::default())
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        if let Some(compression) = self.compression {
            grpc = grpc.send_compressed(compression);
        }
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/studio.v1.Studio/Render" | "/studio.v1.Studio/Paint" => {
                    grpc.unary(service_fn(move |request| studio.clone().render(request)), request).await
                }
                "/studio.v1.Studio/Upload" => {
                    grpc.client_streaming(service_fn(move |request| studio.clone().upload(request)), request).await
                }
                "/studio.v1.Studio/Exchange" => {
                    grpc.streaming(service_fn(move |request| studio.clone().exchange(request)), request).await
                }
                "/studio.v1.Studio/Watch" => {
                    grpc.server_streaming(service_fn(move |request| studio.clone().watch(request)), request).await
                }
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// What is known of the service by its descriptor set: all its methods but `Paint`.
pub(crate) fn methods() -> Methods {
    Methods::builder().descriptor_set(descriptor_set(".studio.v1.Picture")).build().unwrap()
}

/// The descriptor set of the service, as if `Render` replied with this type.
pub(crate) fn descriptor_set(rendered: &str) -> Vec<u8> {
    let method = |name: &str, output: &str, client_streaming, server_streaming| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".studio.v1.Order".to_owned()),
        output_type: Some(output.to_owned()),
        client_streaming: Some(client_streaming),
        server_streaming: Some(server_streaming),
        ..MethodDescriptorProto::default()
    };
    let picture = ".studio.v1.Picture";
    let service = ServiceDescriptorProto {
        name: Some("Studio".to_owned()),
        method: vec![
            method("Render", rendered, false, false),
            method("Upload", picture, true, false),
            method("Watch", picture, false, true),
            method("Exchange", picture, true, true),
        ],
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        package: Some("studio.v1".to_owned()),
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    prost::Message::encode_to_vec(&FileDescriptorSet { file: vec![file] })
}
