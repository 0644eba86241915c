//! The body of a response: the service's own, or the layer's.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::run::OperationHandle;

pin_project! {
    /// The body of a response that came through the layer: the service's own, frame by frame, or a short document of
    /// the layer's, such as a `202 Accepted`.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
        // Dropped with the body.
        handle: Option<Release>,
    }
}

/// Tells whoever still looks at the handle that nothing is waited for any more.
#[derive(Debug)]
struct Release(OperationHandle);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.released();
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Service { #[pin] body: B },
        Document { document: Option<Bytes>, trailers: Option<Box<HeaderMap>> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn service(body: B) -> Self {
        Self { kind: Kind::Service { body }, handle: None }
    }

    /// The body of a call whose handler may have a handle.
    pub(super) fn of_call(body: B, handle: Option<OperationHandle>) -> Self {
        Self { kind: Kind::Service { body }, handle: handle.map(Release) }
    }

    pub(super) fn document(document: Bytes) -> Self {
        let document = Some(document).filter(|document| !document.is_empty());
        Self { kind: Kind::Document { document, trailers: None }, handle: None }
    }

    /// The body of a kept reply.
    pub(super) fn reply(body: Bytes, trailers: Option<HeaderMap>) -> Self {
        let document = Some(body).filter(|body| !body.is_empty());
        Self { kind: Kind::Document { document, trailers: trailers.map(Box::new) }, handle: None }
    }
}

/// An empty body.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::document(Bytes::new())
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Service { body } => {
                let frame = ready!(body.poll_frame(context));
                // Costs nothing where the data are `Bytes` already.
                Poll::Ready(frame.map(|frame| Ok(frame?.map_data(|mut data| data.copy_to_bytes(data.remaining())))))
            }
            KindProjection::Document { document, trailers } => {
                let data = document.take().map(Frame::data);
                Poll::Ready(data.or_else(|| trailers.take().map(|trailers| Frame::trailers(*trailers))).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Service { body } => body.is_end_stream(),
            Kind::Document { document, trailers } => document.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Service { body } => body.size_hint(),
            Kind::Document { document, trailers: None } => {
                SizeHint::with_exact(document.as_ref().map_or(0, |data| data.len() as u64))
            }
            // Said to be open-ended, so that trailers can follow.
            Kind::Document { .. } => SizeHint::new(),
        }
    }
}
