//! The body of the monitor's responses.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::events::EventStream;

/// The body of the [`Monitor`](super::Monitor)'s responses: a document, a kept reply or a stream of events.
pub struct MonitorBody(Kind);

enum Kind {
    /// The trailers are boxed, as few replies have any and every response is moved a lot.
    Whole {
        data: Bytes,
        trailers: Option<Box<HeaderMap>>,
    },
    Events(EventStream),
}

impl MonitorBody {
    pub(super) fn empty() -> Self {
        Self::document(Bytes::new())
    }

    pub(super) fn document(data: Bytes) -> Self {
        Self(Kind::Whole { data, trailers: None })
    }

    pub(super) fn reply(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self(Kind::Whole { data, trailers: trailers.map(Box::new) })
    }

    pub(super) fn events(events: EventStream) -> Self {
        Self(Kind::Events(events))
    }
}

/// An empty body.
impl Default for MonitorBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl Body for MonitorBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole { data, trailers } => {
                let data = (!data.is_empty()).then(|| Frame::data(std::mem::take(data)));
                Poll::Ready(data.or_else(|| trailers.take().map(|trailers| Frame::trailers(*trailers))).map(Ok))
            }
            Kind::Events(events) => events.poll_next(context).map(|event| event.map(|event| Ok(Frame::data(event)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole { data, trailers } => data.is_empty() && trailers.is_none(),
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole { data, trailers: None } => SizeHint::with_exact(data.len() as u64),
            // Said to be open-ended, so that trailers can follow.
            Kind::Whole { .. } | Kind::Events(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for MonitorBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MonitorBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}
