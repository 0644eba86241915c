//! `ListOperations`

use tonic::{Code, Status};
use tower_respond_async::{
    Operations,
    longrunning::messages::{ListOperationsRequest, ListOperationsResponse, Operation, operation_metadata::State},
};

use crate::{
    client::within,
    engines::on_every_store,
    stage::{Server, Stage, eventually, impatient, metadata, of},
};

on_every_store! {
    the_list_comes_in_pages
    only_the_callers_own_are_listed
}

async fn list(server: &Server, user: &str, request: ListOperationsRequest) -> Result<ListOperationsResponse, Status> {
    within(server.client().list_operations(of(user, request))).await.map(tonic::Response::into_inner)
}

/// The pages of the list, to its end.
async fn pages(server: &Server, user: &str, filter: &str, page_size: i32) -> Vec<Vec<Operation>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let (name, filter) = ("operations".to_owned(), filter.to_owned());
        let request = ListOperationsRequest { name, filter, page_size, page_token, ..ListOperationsRequest::default() };
        let page = list(server, user, request).await.unwrap();
        pages.push(page.operations);
        if page.next_page_token.is_empty() {
            return pages;
        }
        page_token = page.next_page_token;
    }
}

fn names(pages: &[Vec<Operation>]) -> Vec<&str> {
    pages.iter().flatten().map(|operation| &*operation.name).collect()
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

async fn the_list_comes_in_pages(stage: &Stage) {
    let server = stage.server().await;
    let mut done = Vec::new();
    for path in ["/jobs", "/refused", "/jobs", "/panics"] {
        let name = server.begin(path, "ann").await;
        stage.work.go(1);
        done.push(server.ended(&name, "ann").await);
    }
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(server.begin("/jobs", "ann").await);
    }
    let done_names = sorted(done.iter().map(|operation| &*operation.name).collect());
    let running_names = sorted(running.iter().map(String::as_str).collect());
    let all_names = sorted([done_names.clone(), running_names.clone()].concat());

    for page_size in [0, 1, 2, 3, 100_000] {
        for (filter, expected) in [("", &all_names), ("done=true", &done_names), ("done=false", &running_names)] {
            let pages = pages(&server, "ann", filter, page_size).await;
            assert_eq!(&sorted(names(&pages)), expected, "{filter}, {page_size}");
            let longest = pages.iter().map(Vec::len).max().unwrap();
            assert!(page_size == 0 || longest <= page_size as usize, "{filter}, {page_size}: {longest}");
            let created: Vec<_> = pages
                .iter()
                .flatten()
                .map(|operation| metadata(operation).create_time.unwrap())
                .map(|time| (time.seconds, time.nanos))
                .collect();
            assert!(created.is_sorted_by(|newer, older| newer >= older), "{created:?}");
        }
    }
    // Each with its result, as it is when it is asked for alone.
    let pages = pages(&server, "ann", "done", 2).await;
    for operation in pages.iter().flatten() {
        assert!(done.contains(operation), "{operation:?}");
    }
    stage.work.go_all();
}

async fn only_the_callers_own_are_listed(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    assert_eq!(names(&pages(&server, "ann", "", 0).await), [&*name]);
    assert_eq!(names(&pages(&server, "bob", "", 0).await), [""; 0]);
    let request = tonic::Request::new(ListOperationsRequest::default());
    let nobody = within(server.client().list_operations(request)).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    stage.work.go(1);
}

#[tokio::test]
async fn what_cannot_be_listed_is_refused() {
    let server = Stage::own().server().await;
    let request = ListOperationsRequest::default;
    let of_jobs = ListOperationsRequest { name: "jobs".into(), ..request() };
    let of_page = ListOperationsRequest { page_token: "2".into(), ..request() };
    let backwards = ListOperationsRequest { page_size: -1, ..request() };
    let by_name = ListOperationsRequest { filter: "name=\"x\"".into(), ..request() };
    let in_part = ListOperationsRequest { return_partial_success: true, ..request() };
    for (request, code) in [
        (of_jobs, Code::NotFound),
        (of_page, Code::InvalidArgument),
        (backwards, Code::InvalidArgument),
        (by_name, Code::InvalidArgument),
        (in_part, Code::Unimplemented),
    ] {
        assert_eq!(list(&server, "ann", request.clone()).await.unwrap_err().code(), code, "{request:?}");
    }
    assert!(list(&server, "ann", request()).await.unwrap().operations.is_empty());
}

#[tokio::test]
async fn without_owners_nothing_is_listed() {
    let server = Stage::own().server_of(Operations::builder(), impatient()).await;
    let error = list(&server, "ann", ListOperationsRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}

/// It could not be listed otherwise, nor what comes after it.
#[tokio::test]
async fn an_operation_that_is_too_long_for_a_page_is_listed_without_its_result() {
    let stage = Stage::own();
    let server = stage.server().await;
    let mut began = Vec::new();
    for kind in ["/jobs", "/huge", "/jobs"] {
        began.push(server.begin(kind, "ann").await);
    }
    stage.work.go_all();
    for name in [&began[0], &began[2]] {
        server.ended(name, "ann").await;
    }
    let listed = eventually(async || {
        let listed = pages(&server, "ann", "done=true", 100).await.concat();
        if listed.len() == 3 { Ok(listed) } else { Err(listed) }
    })
    .await;
    for operation in listed {
        assert_eq!(metadata(&operation).state(), State::Succeeded);
        assert_eq!((operation.done, operation.result.is_none()), (true, operation.name == began[1]));
    }
}

/// A page is never more than a client takes by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_comes_in_more_pages_than_asked_for() {
    let stage = Stage::own();
    let server = stage.server().await;
    let mut began = Vec::new();
    for _ in 0..42 {
        began.push(server.begin("/large", "ann").await);
    }
    stage.work.go_all();
    for name in &began {
        assert_eq!(metadata(&server.ended(name, "ann").await).state(), State::Succeeded);
    }
    let pages = pages(&server, "ann", "", 100).await;
    assert_eq!(pages.len(), 2);
    assert_eq!(sorted(names(&pages)), sorted(began.iter().map(String::as_str).collect()));
}
