//! `ListOperations`: the caller's own operations, newest first, in pages.

use prost::Message;
use tonic::{Code, Status};

use super::{Caller, filter, merged::merged, unavailable};
use crate::{
    hub::cursor,
    longrunning::{
        messages::{ListOperationsRequest, ListOperationsResponse},
        name, operation, status,
    },
    operation::{OperationId, Owner, State, Timestamp},
    store::{ListFilter, Listed},
};

const DEFAULT_SIZE: usize = 50;
const LARGEST_SIZE: usize = 200;

/// In bytes. A page ends before it is longer than what clients take by default.
const LONGEST_PAGE: usize = 3 * 1024 * 1024;

/// Where an operation is in the list.
type Place = (Timestamp, OperationId);

pub(super) async fn list(caller: &Caller, request: &ListOperationsRequest) -> Result<ListOperationsResponse, Status> {
    if !name::is_parent(&request.name) {
        return Err(status::not_found());
    }
    if request.return_partial_success {
        return Err(Status::unimplemented("return_partial_success: there is one collection only"));
    }
    if caller.hub.settings.owner_of.is_none() {
        return Err(Status::unimplemented("Operations are listed where their owners are told apart"));
    }
    let owner = caller.owner().ok_or_else(|| Status::unauthenticated("The operations of nobody are not listed"))?;
    let done = filter::parse(&request.filter)?;
    let after = place(&request.page_token)?;
    let listed = page(caller, owner, done, after, size(request.page_size)?).await?;
    whole(caller, listed).await
}

fn size(asked: i32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(LARGEST_SIZE)),
        Err(_) => Err(Status::invalid_argument("page_size: expected no negative number")),
    }
}

fn place(token: &str) -> Result<Option<Place>, Status> {
    let unknown = || Status::invalid_argument("page_token: expected the next_page_token of an earlier page");
    if token.is_empty() { Ok(None) } else { cursor::parse(token).map(Some).ok_or_else(unknown) }
}

/// The states that operations are in which are done, or not: those of all where `None` is asked for.
fn states(done: Option<bool>) -> &'static [Option<State>] {
    match done {
        None => &[None],
        // What is begun meanwhile is seen twice rather than never.
        Some(false) => &[Some(State::Queued), Some(State::Running)],
        Some(true) => &[Some(State::Succeeded), Some(State::Failed), Some(State::Canceled)],
    }
}

/// A page of the operations in all these states.
async fn page(
    caller: &Caller,
    owner: &Owner,
    done: Option<bool>,
    after: Option<Place>,
    size: usize,
) -> Result<Listed, Status> {
    let mut lists = Vec::new();
    for &state in states(done) {
        let listed = caller.hub.list(owner, ListFilter { state, after }, size).await;
        lists.push(listed.map_err(|error| unavailable(&error))?);
    }
    Ok(merged(lists, size))
}

/// The page with the results of its operations, or as much of it as is not too long and takes no longer than the caller
/// waits. What would be too long alone comes without its result.
async fn whole(caller: &Caller, listed: Listed) -> Result<ListOperationsResponse, Status> {
    let mut page = ListOperationsResponse::default();
    let mut length = 0;
    let mut last = None;
    for snapshot in listed.operations {
        if let Some(last) = last.filter(|_| caller.is_late()) {
            page.next_page_token = cursor::write(last);
            return Ok(page);
        }
        let place = (snapshot.created, snapshot.id);
        let mut operation = match caller.read_whole(snapshot).await {
            Ok(snapshot) => operation::of(&snapshot),
            Err(status) if status.code() == Code::NotFound => {
                // Forgotten meanwhile.
                last = Some(place);
                continue;
            }
            Err(status) => return Err(status),
        };
        if operation.encoded_len() > LONGEST_PAGE {
            operation.result = None;
        }
        length += operation.encoded_len();
        if let Some(last) = last.filter(|_| length > LONGEST_PAGE) {
            page.next_page_token = cursor::write(last);
            return Ok(page);
        }
        page.operations.push(operation);
        last = Some(place);
    }
    page.next_page_token = listed.next.map(cursor::write).unwrap_or_default();
    Ok(page)
}
