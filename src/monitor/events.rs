//! The events of an operation, as server-sent events (HTML Living Standard, section 9.2).
//!
//! An event's `id` says how far its reader has come: `0` for `queued`, `1` for `running`, more for each progress, and
//! `end`. Whoever resumes with it is told what has happened since.

use std::{
    borrow::Cow,
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

use super::{Answer, Caller, MonitorBody, not_found};
use crate::{
    http::grammar,
    hub::Document,
    operation::{OperationId, State},
    run::{PROGRESS_PERIOD, Watch},
    store::{Part, Snapshot, StoreError, StoreFuture},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Keeps proxies from collecting events before they pass them on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How often a comment shows that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the reader has seen: nothing, the state, or how many reports of progress beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Nothing,
    Queued,
    Running { reports: u64 },
    End,
}

impl Seen {
    fn resumed(headers: &HeaderMap) -> Self {
        match headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()) {
            Some("end") => Self::End,
            Some(number) => match grammar::digits(number.bytes()) {
                Some(0) => Self::Queued,
                Some(number) => Self::Running { reports: number - 1 },
                None => Self::Nothing,
            },
            None => Self::Nothing,
        }
    }

    fn id(self) -> Cow<'static, str> {
        match self {
            Self::Nothing | Self::Queued => "0".into(),
            Self::Running { reports } => (reports + 1).to_string().into(),
            Self::End => "end".into(),
        }
    }

    fn of(snapshot: &Snapshot) -> Self {
        match (snapshot.state(), &snapshot.progress) {
            (State::Queued, _) => Self::Queued,
            (State::Running, Some(report)) => Self::Running { reports: report.number },
            (State::Running, None) => Self::Running { reports: 0 },
            (State::Succeeded | State::Failed | State::Canceled, _) => Self::End,
        }
    }
}

/// `GET {id}/events`
pub(super) fn events(caller: Caller, parts: &Parts, id: OperationId) -> Answer {
    // Watched before it is read, so that nothing falls between.
    let watch = caller.hub.watchers.watch(id);
    let seen = Seen::resumed(&parts.headers);
    Answer::of(caller.read(id, Part::Status), move |read| {
        read.map_or_else(not_found, |snapshot| begin(caller, watch, seen, &snapshot))
    })
}

fn begin(caller: Caller, watch: Watch, seen: Seen, snapshot: &Snapshot) -> Response<MonitorBody> {
    let id = snapshot.id;
    if seen == Seen::End && snapshot.end.is_some() {
        let mut response = Response::new(MonitorBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    // An id that this operation has not come to is not its own.
    let seen = if seen > Seen::of(snapshot) { Seen::Nothing } else { seen };
    // What was reported a moment ago may have been told to others only, so this reader, too, looks once more.
    let told = (seen == Seen::of(snapshot) && snapshot.progress.is_some()).then(Instant::now);
    let latest = Instant::now();
    let reader = Reader { caller, id, watch, seen, told, latest, shutting_down: false, reading: None, timer: None };
    let mut response = Response::new(MonitorBody::events(EventStream { reader: Some(Box::new(reader)) }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The stream of events, as they are to be sent.
pub(super) struct EventStream {
    /// Boxed, as every response of the monitor has room for it.
    reader: Option<Box<Reader>>,
}

impl EventStream {
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        let event = ready!(reader.poll_next(context));
        if event.is_none() {
            self.reader = None;
        }
        Poll::Ready(event)
    }
}

/// One client's reading of an operation's events.
struct Reader {
    caller: Caller,
    id: OperationId,
    watch: Watch,
    seen: Seen,
    /// When progress was told last.
    told: Option<Instant>,
    /// When anything was sent last.
    latest: Instant,
    shutting_down: bool,
    /// What the store has been asked for and has not answered yet.
    reading: Option<StoreFuture<Option<Snapshot>>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Reader {
    /// Waits for the next event. `None` once there will be none.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.seen == Seen::End {
            return Poll::Ready(None);
        }
        loop {
            let pause = self.told.map(|told| told + PROGRESS_PERIOD).filter(|over| Instant::now() < *over);
            match ready!(self.poll_read(context)) {
                Ok(None) => return Poll::Ready(None),
                Ok(Some(snapshot)) => {
                    if let Some(event) = self.event(&snapshot, pause.is_some()) {
                        return self.send(event);
                    }
                }
                // Asked again soon.
                Err(error) => debug!(error = &error as &dyn Error, "the store did not answer"),
            }
            if self.shutting_down {
                return Poll::Ready(None);
            }
            if let Poll::Ready(more) = self.watch.poll_changed(context) {
                self.shutting_down = !more;
                continue;
            }
            ready!(self.poll_pause(pause, context));
            if pause.is_none() && Instant::now() >= self.latest + KEEP_ALIVE {
                return self.send(Bytes::from_static(b": keep-alive\n\n"));
            }
            self.told = None;
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Snapshot>, StoreError>> {
        let reading = self.reading.get_or_insert_with(|| self.caller.read(self.id, Part::Status));
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(read)
    }

    /// Waits until there is a reason to look again though no change was told.
    fn poll_pause(&mut self, pause: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let keep_alive = self.latest + KEEP_ALIVE;
        let ask_again =
            self.caller.hub.ask_again().map_or(keep_alive, |period| keep_alive.min(Instant::now() + period));
        self.poll_timer(pause.unwrap_or(ask_again), context)
    }

    fn send(&mut self, event: Bytes) -> Poll<Option<Bytes>> {
        self.latest = Instant::now();
        Poll::Ready(Some(event))
    }

    /// Waits until this time. A timer that is early is let be until it fires, as most never do.
    fn poll_timer(&mut self, time: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(time)));
        if timer.deadline() > time {
            timer.as_mut().reset(time);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= time {
                return Poll::Ready(());
            }
            timer.as_mut().reset(time);
        }
    }

    /// The event that brings the reader forward, if there is one and it need not wait.
    fn event(&mut self, snapshot: &Snapshot, pausing: bool) -> Option<Bytes> {
        let now = Seen::of(snapshot);
        let (name, seen) = match (self.seen, now) {
            (_, Seen::End) => (snapshot.state().as_str(), Seen::End),
            (_, Seen::Queued) if self.seen < Seen::Queued => (snapshot.state().as_str(), Seen::Queued),
            (Seen::Nothing | Seen::Queued, Seen::Running { .. }) => {
                (snapshot.state().as_str(), Seen::Running { reports: 0 })
            }
            (seen, now) if now > seen && !pausing => {
                self.told = Some(Instant::now());
                ("progress", now)
            }
            _ => return None,
        };
        self.seen = seen;
        Some(self.write(name, snapshot))
    }

    fn write(&self, name: &str, snapshot: &Snapshot) -> Bytes {
        let document = Document::of(snapshot, self.caller.place(self.id));
        let mut event = Vec::with_capacity(document.length() + 64);
        event.extend_from_slice(b"event: ");
        event.extend_from_slice(name.as_bytes());
        event.extend_from_slice(b"\nid: ");
        event.extend_from_slice(self.seen.id().as_bytes());
        event.extend_from_slice(b"\ndata: ");
        document.write_to(&mut event);
        event.extend_from_slice(b"\n\n");
        event.into()
    }
}
