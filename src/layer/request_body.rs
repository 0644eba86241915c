//! The body of a request, as the wrapped service sees it, and as the layer does.
//!
//! A request cannot be detached while its body still arrives, because the connection stops delivering it once the
//! response is out (R3). So the layer keeps a hand on a body that has not ended: it sees the end when the handler reads
//! that far, and reads the rest into memory itself where the handler does not.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a request that came through the layer: the same frames as the body inside.
    pub struct RequestBody<B: Body> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B: Body> {
        /// Of no interest to the layer.
        Untouched { #[pin] body: B },
        Arriving { reader: Reader<B> },
    }
}

/// The handler's end of a body that still arrives.
struct Reader<B: Body>(Shared<B>);

/// The layer's end of it.
pub(super) struct Arrival<B: Body>(Shared<B>);

type Shared<B> = Arc<Mutex<Arriving<B>>>;

type Polled<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

struct Arriving<B: Body> {
    /// Absent once it has ended, failed or been given up by the handler.
    body: Option<Pin<Box<B>>>,
    /// What the layer has read and the handler has not.
    // Boxed, as most handlers leave nothing for the layer to read.
    pumped: Option<Box<Pumped<B>>>,
    failed: bool,
    /// Only the handler may begin to read: that is what tells the client to send (RFC 9110, section 10.1.1).
    hold: bool,
    /// The handler wants no more of it.
    given_up: bool,
    /// All that has come, where it is to be kept and can be.
    // Boxed, as few bodies are recorded.
    recording: Option<Box<Recording>>,
    handler: Option<Waker>,
    layer: Option<Waker>,
}

/// The part of a body that waits in memory, and how it broke off, if it did.
struct Pumped<B: Body> {
    frames: VecDeque<Frame<B::Data>>,
    bytes: usize,
    failure: Option<B::Error>,
}

/// A copy of a body.
#[derive(Debug)]
struct Recording {
    bytes: Vec<u8>,
    limit: usize,
}

/// So many frames may wait, however small, and one more for every so many bytes of the limit.
const FEW_FRAMES: usize = 16;
const SMALL_FRAME: usize = 128;

/// What the layer finds when it looks after a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// It is here whole, or not wanted any more.
    Whole,
    /// Not yet.
    Waiting,
    /// It has broken off, and the handler does not know yet or does not care.
    Failed,
    /// Not yet, and the rest does not fit into memory.
    OverLimit,
}

impl<B: Body> RequestBody<B> {
    /// A body that the layer does not look after.
    pub(super) fn untouched(body: B) -> Self {
        Self { kind: Kind::Untouched { body } }
    }

    /// Takes a hand on the body, its `arrival`, unless it has ended already. `hold` says that the client sends nothing
    /// before somebody reads.
    pub(super) fn watched(body: B, hold: bool, arrival: &mut Option<Arrival<B>>) -> Self {
        if body.is_end_stream() {
            return Self::untouched(body);
        }
        let shared = Arc::new(Mutex::new(Arriving::new(body, hold)));
        let reader = Reader(Arc::clone(&shared));
        *arrival = Some(Arrival(shared));
        Self { kind: Kind::Arriving { reader } }
    }
}

impl Recording {
    /// Whether that fits, and is in one piece: others cannot be copied without being taken.
    fn extend(&mut self, data: &impl Buf) -> bool {
        let fits = data.chunk().len() == data.remaining() && data.remaining() <= self.limit - self.bytes.len();
        if fits {
            self.bytes.extend_from_slice(data.chunk());
        }
        fits
    }
}

impl<B: Body> Arrival<B> {
    /// Looks whether the body is whole, and if not, reads on while less than `limit` bytes wait to be read.
    pub(super) fn poll_whole(&self, limit: usize, context: &mut Context<'_>) -> Arrived {
        let mut arriving = lock(&self.0);
        let arrived = arriving.pump(limit, context);
        if arrived != Arrived::Whole {
            renew(&mut arriving.layer, context.waker());
        }
        arrived
    }

    /// Whether the body is here whole, or not wanted any more.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.0).is_whole()
    }

    /// Has a copy made of what comes, up to `limit` bytes, and all of it read, whether or not the handler wants it.
    pub(super) fn record(&self, limit: usize) {
        lock(&self.0).recording = Some(Box::new(Recording { bytes: Vec::new(), limit }));
    }

    /// Lets the client send though no handler reads.
    pub(super) fn invite(&self) {
        lock(&self.0).hold = false;
    }

    /// The copy of the whole body. `None` where there is none, or no more.
    pub(super) fn recorded(&self) -> Option<Bytes> {
        let mut arriving = lock(&self.0);
        let recording = arriving.recording.take()?;
        Some(recording.bytes.into())
    }
}

impl<B: Body> Arriving<B> {
    fn new(body: B, hold: bool) -> Self {
        Self {
            body: Some(Box::pin(body)),
            pumped: None,
            failed: false,
            hold,
            given_up: false,
            recording: None,
            handler: None,
            layer: None,
        }
    }

    fn is_whole(&self) -> bool {
        self.body.is_none() && !self.failed
    }

    fn pump(&mut self, limit: usize, context: &mut Context<'_>) -> Arrived {
        loop {
            if self.is_whole() {
                return Arrived::Whole;
            }
            if self.failed {
                return Arrived::Failed;
            }
            if self.hold {
                return Arrived::Waiting;
            }
            if self.would_exceed(limit) {
                return Arrived::OverLimit;
            }
            match self.poll_body(context) {
                Poll::Pending => return Arrived::Waiting,
                Poll::Ready(None) => {}
                Poll::Ready(Some(Ok(_))) if self.given_up => {}
                Poll::Ready(Some(read)) => self.pumped.get_or_insert_default().push(read),
            }
            wake(&mut self.handler);
        }
    }

    /// Whether what waits to be read fills the limit, or would with what is known to come.
    fn would_exceed(&self, limit: usize) -> bool {
        // Each frame takes memory of its own, and a body may come byte by byte.
        if self.pumped.as_ref().is_some_and(|pumped| pumped.frames.len() > FEW_FRAMES + limit / SMALL_FRAME) {
            return true;
        }
        let coming = self.body.as_ref().map_or(0, |body| body.size_hint().lower());
        let expected = self.pumped_bytes().saturating_add(coming.max(1));
        expected > limit as u64
    }

    fn poll_handler(&mut self, context: &mut Context<'_>) -> Poll<Polled<B>> {
        self.hold = false;
        let polled = self.poll_for_handler(context);
        if polled.is_pending() {
            renew(&mut self.handler, context.waker());
        }
        // Also while there is nothing: the body inside now wakes the handler alone, who may not come back.
        if polled.is_ready() || self.layer.as_ref().is_some_and(|layer| !layer.will_wake(context.waker())) {
            wake(&mut self.layer);
        }
        polled
    }

    fn poll_for_handler(&mut self, context: &mut Context<'_>) -> Poll<Polled<B>> {
        match self.pumped.as_mut().and_then(|pumped| pumped.pop()) {
            Some(pumped) => Poll::Ready(Some(pumped)),
            None => self.poll_body(context),
        }
    }

    /// Polls the body inside, and lets it go as soon as it says that nothing more will come: some say so only when
    /// asked, and give the end itself only after the response is out.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Polled<B>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.as_mut().poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(recording)) = (&polled, &mut self.recording)
            && !frame.data_ref().is_none_or(|data| recording.extend(data))
        {
            self.recording = None;
        }
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) if !body.is_end_stream() => {}
            Poll::Ready(frame) => {
                self.failed = matches!(frame, Some(Err(_)));
                self.body = None;
            }
        }
        polled
    }

    /// The handler wants no more of it.
    fn give_up(&mut self) {
        if self.recording.is_none() {
            self.body = None;
        }
        (self.given_up, self.pumped, self.failed) = (true, None, false);
        wake(&mut self.layer);
    }

    fn pumped_bytes(&self) -> u64 {
        self.pumped.as_ref().map_or(0, |pumped| pumped.bytes as u64)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.as_ref().map_or(SizeHint::with_exact(0), |body| body.size_hint());
        let pumped = self.pumped_bytes();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(pumped));
        }
        hint.set_lower(hint.lower().saturating_add(pumped));
        hint
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole() && self.pumped.as_ref().is_none_or(|pumped| pumped.frames.is_empty())
    }
}

impl<B: Body> Pumped<B> {
    fn push(&mut self, read: Result<Frame<B::Data>, B::Error>) {
        match read {
            Ok(frame) => {
                self.bytes += data_length(&frame);
                self.frames.push_back(frame);
            }
            Err(error) => self.failure = Some(error),
        }
    }

    fn pop(&mut self) -> Polled<B> {
        let Some(frame) = self.frames.pop_front() else { return self.failure.take().map(Err) };
        self.bytes -= data_length(&frame);
        Some(Ok(frame))
    }
}

impl<B: Body> Default for Pumped<B> {
    fn default() -> Self {
        Self { frames: VecDeque::new(), bytes: 0, failure: None }
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Polled<B>> {
        match self.project().kind.project() {
            KindProjection::Untouched { body } => body.poll_frame(context),
            KindProjection::Arriving { reader } => lock(&reader.0).poll_handler(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Untouched { body } => body.is_end_stream(),
            Kind::Arriving { reader } => lock(&reader.0).is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Untouched { body } => body.size_hint(),
            Kind::Arriving { reader } => lock(&reader.0).size_hint(),
        }
    }
}

impl<B: Body> Drop for Reader<B> {
    fn drop(&mut self) {
        lock(&self.0).give_up();
    }
}

impl<B: Body> fmt::Debug for RequestBody<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RequestBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}

fn lock<B: Body>(shared: &Shared<B>) -> MutexGuard<'_, Arriving<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn data_length<D: Buf>(frame: &Frame<D>) -> usize {
    frame.data_ref().map_or(0, Buf::remaining)
}

fn renew(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(present) => present.clone_from(waker),
        None => *place = Some(waker.clone()),
    }
}

fn wake(place: &mut Option<Waker>) {
    if let Some(waker) = place.take() {
        waker.wake();
    }
}
