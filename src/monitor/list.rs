//! The caller's own operations.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::{Answer, Caller, MonitorBody, not_found, problem};
use crate::{
    http::{
        grammar, json,
        problem::{Kind, Problem},
    },
    hub::{Document, cursor},
    operation::{OperationId, State, Timestamp},
    store::{ListFilter, Listed, Snapshot},
};

const DEFAULT_LIMIT: usize = 50;
const LARGEST_LIMIT: usize = 200;

/// One page of the list.
#[derive(Debug, Default, PartialEq)]
struct Page {
    state: Option<State>,
    after: Option<(Timestamp, OperationId)>,
    limit: Option<usize>,
}

/// `GET {base}?state=S&limit=N&after=CURSOR`
pub(super) fn list(caller: Caller, query: Option<&str>) -> Answer {
    let Some(owner) = &caller.owner else { return not_found().into() };
    let page = match Page::parse(query.unwrap_or_default()) {
        Ok(page) => page,
        Err(detail) => return problem(Problem::new(Kind::BadRequest).detail(detail)).into(),
    };
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    let filter = ListFilter { state: page.state, after: page.after };
    let listed = caller.hub.list(owner, filter, limit);
    Answer::of(listed, move |listed| shown(&caller, &page, &listed))
}

fn shown(caller: &Caller, page: &Page, listed: &Listed) -> Response<MonitorBody> {
    let next = listed.next.map(|last| page.next(last));
    let mut response = Response::new(MonitorBody::document(write(caller, &listed.operations, next.as_deref())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn write(caller: &Caller, shown: &[Snapshot], next: Option<&str>) -> Bytes {
    let mut json = Vec::with_capacity(256 * (shown.len() + 1));
    json::object(&mut json, |list| {
        list.array("operations", |operations| {
            for snapshot in shown {
                let place = caller.place(snapshot.id);
                operations.object(|operation| {
                    operation.written("location", |buffer| place.write(buffer));
                    Document::of(snapshot, place).write(operation);
                });
            }
        });
        if let Some(next) = next {
            list.string("next", next);
        }
    });
    json.into()
}

impl Page {
    fn parse(query: &str) -> Result<Self, String> {
        let mut page = Self::default();
        for (name, value) in
            query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        {
            match name {
                "state" => {
                    page.state = Some(
                        State::named(value).ok_or("state: expected queued, running, succeeded, failed or canceled")?,
                    )
                }
                "limit" => page.limit = Some(parse_limit(value)?),
                "after" => {
                    page.after =
                        Some(cursor::parse(value).ok_or("after: expected what `next` of an earlier page says")?)
                }
                _ => return Err(format!("unknown parameter {name:?}: expected state, limit or after")),
            }
        }
        Ok(page)
    }

    /// The query of the page that follows on this operation.
    fn next(&self, last: (Timestamp, OperationId)) -> String {
        let mut next = format!("?after={}", cursor::write(last));
        if let Some(limit) = self.limit {
            let _infallible = write!(next, "&limit={limit}");
        }
        if let Some(state) = self.state {
            let _infallible = write!(next, "&state={state}");
        }
        next
    }
}

fn parse_limit(value: &str) -> Result<usize, String> {
    let limit = grammar::digits(value.bytes()).and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("limit: expected a number from 1 to {LARGEST_LIMIT}"))
}
