//! The events of an operation, as server-sent events (HTML Living Standard, section 9.2).
//!
//! An event's `id` says how far its reader has come: `1` for `running`, more for each progress, and `end`. Whoever
//! resumes with it is told what has happened since.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use tokio::time::{Instant, timeout_at};

use super::{Caller, MonitorBody, not_found};
use crate::{
    http::grammar,
    hub::{Document, PROGRESS_PERIOD, Watch},
    operation::OperationId,
    store::Snapshot,
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
    Running { reports: u64 },
    End,
}

impl Seen {
    fn resumed(headers: &HeaderMap) -> Self {
        match headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()) {
            Some("end") => Self::End,
            Some(number) => grammar::digits(number.bytes())
                .and_then(|number| number.checked_sub(1))
                .map_or(Self::Nothing, |reports| Self::Running { reports }),
            None => Self::Nothing,
        }
    }

    fn id(self) -> Cow<'static, str> {
        match self {
            Self::Nothing => "0".into(),
            Self::Running { reports } => (reports + 1).to_string().into(),
            Self::End => "end".into(),
        }
    }

    fn of(snapshot: &Snapshot) -> Self {
        match (&snapshot.end, &snapshot.progress) {
            (Some(_), _) => Self::End,
            (None, Some(report)) => Self::Running { reports: report.number },
            (None, None) => Self::Running { reports: 0 },
        }
    }
}

/// `GET {id}/events`
pub(super) fn events(caller: Caller, parts: &Parts, id: OperationId) -> Response<MonitorBody> {
    // Watched before it is read, so that nothing falls between.
    let watch = caller.hub.watchers.watch(id);
    let Some(snapshot) = caller.read(id) else { return not_found() };
    let seen = Seen::resumed(&parts.headers);
    if seen == Seen::End && snapshot.end.is_some() {
        let mut response = Response::new(MonitorBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    // An id that this operation has not come to is not its own.
    let seen = if seen > Seen::of(&snapshot) { Seen::Nothing } else { seen };
    // What was reported a moment ago may have been told to others only, so this reader, too, looks once more.
    let told = (seen == Seen::of(&snapshot) && snapshot.progress.is_some()).then(Instant::now);
    let reader = Reader { caller, id, watch, seen, told };
    let mut response = Response::new(MonitorBody::events(EventStream { next: Some(Box::pin(reader.next())) }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The stream of events, as they are to be sent.
pub(super) struct EventStream {
    next: Option<Next>,
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Reader)>> + Send>>;

impl EventStream {
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let (event, next) = ready!(next.as_mut().poll(context)).unzip();
        self.next = next.map(|reader: Reader| Box::pin(reader.next()) as _);
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
}

impl Reader {
    /// Waits for the next event. `None` once there will be none.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.seen == Seen::End {
            return None;
        }
        let keep_alive = Instant::now() + KEEP_ALIVE;
        let mut shutting_down = false;
        loop {
            let snapshot = self.caller.read(self.id)?;
            let pause = self.told.map(|told| told + PROGRESS_PERIOD).filter(|over| Instant::now() < *over);
            if let Some(event) = self.event(&snapshot, pause.is_some()) {
                return Some((event, self));
            }
            if shutting_down {
                return None;
            }
            match timeout_at(pause.unwrap_or(keep_alive), self.watch.changed()).await {
                Ok(more) => shutting_down = !more,
                Err(_) if pause.is_some() => self.told = None,
                Err(_) => return Some((Bytes::from_static(b": keep-alive\n\n"), self)),
            }
        }
    }

    /// The event that brings the reader forward, if there is one and it need not wait.
    fn event(&mut self, snapshot: &Snapshot, pausing: bool) -> Option<Bytes> {
        let now = Seen::of(snapshot);
        let (name, seen) = match (self.seen, now) {
            (_, Seen::End) => (snapshot.state().as_str(), Seen::End),
            (Seen::Nothing, _) => (snapshot.state().as_str(), Seen::Running { reports: 0 }),
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
