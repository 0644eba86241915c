//! What is asked of one operation, on every store.

use http::Method;
use tonic::{Code, Status};
use tower_respond_async::longrunning::messages::{
    CancelOperationRequest, DeleteOperationRequest, HttpBody, WaitOperationRequest, operation_metadata::State,
};

use crate::{
    client::within,
    engines::on_every_store,
    stage::{Server, Stage, body, error, eventually, metadata, of},
    work::binary,
};

on_every_store! {
    an_operation_is_followed_to_its_end
    progress_is_told
    what_the_handler_refuses_is_an_error
    what_is_canceled_stays
    what_is_deleted_is_forgotten
    others_find_nothing
}

pub(crate) async fn cancel(server: &Server, name: &str, user: &str) -> Result<(), Status> {
    let request = of(user, CancelOperationRequest { name: name.to_owned() });
    within(server.client().cancel_operation(request)).await.map(|_empty| ())
}

pub(crate) async fn delete(server: &Server, name: &str, user: &str) -> Result<(), Status> {
    let request = of(user, DeleteOperationRequest { name: name.to_owned() });
    within(server.client().delete_operation(request)).await.map(|_empty| ())
}

async fn an_operation_is_followed_to_its_end(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    let pending = server.get(&name, "ann").await.unwrap();
    assert_eq!((&pending.name, pending.done, &pending.result), (&name, false, &None));
    let said = metadata(&pending);
    assert_eq!((&*said.route, said.state(), said.attempt), ("default", State::Running, 1));
    assert_eq!((said.end_time, said.expire_time, said.progress), (None, None, None));

    stage.work.go(1);
    let done = server.ended(&name, "ann").await;
    let body = body(&done);
    assert_eq!((&*body.content_type, body.data), ("application/octet-stream", binary().to_vec()));
    let said = metadata(&done);
    assert_eq!(said.state(), State::Succeeded);
    let (ended, expires) = (said.end_time.unwrap(), said.expire_time.unwrap());
    assert!(said.create_time.unwrap().seconds <= ended.seconds);
    assert_eq!(expires.seconds - ended.seconds, 600);
    assert_eq!(server.get(&name, "ann").await.unwrap(), done);
    assert_eq!(server.status(&name, "ann").await["status"], "succeeded");
}

async fn progress_is_told(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/progress", "ann").await;
    for step in 1..=3 {
        let expected = f64::from(step) / 4.0;
        let progress = eventually(async || {
            let progress = metadata(&server.get(&name, "ann").await.unwrap()).progress;
            progress.clone().filter(|progress| progress.fraction == expected).ok_or(progress)
        })
        .await;
        assert_eq!(progress.message, "so far");
        stage.work.go(1);
    }
    assert!(server.ended(&name, "ann").await.done);
}

async fn what_the_handler_refuses_is_an_error(stage: &Stage) {
    let server = stage.server().await;
    let (refused, panicked) = (server.begin("/refused", "ann").await, server.begin("/panics", "ann").await);
    stage.work.go_all();
    let refused = server.ended(&refused, "ann").await;
    assert_eq!(metadata(&refused).state(), State::Failed);
    assert_eq!((error(&refused).code, &*error(&refused).message), (Code::Aborted.into(), "Conflict"));
    assert_eq!(error(&refused).details[0].to_msg::<HttpBody>().unwrap().data, b"no");
    let panicked = server.ended(&panicked, "ann").await;
    assert_eq!(error(&panicked).code, i32::from(Code::Internal));
    assert_eq!(error(&panicked).details[0].type_url, "type.googleapis.com/google.rpc.ErrorInfo");
}

async fn what_is_canceled_stays(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    stage.work.running(1).await;
    cancel(&server, &name, "ann").await.unwrap();
    let canceled = server.get(&name, "ann").await.unwrap();
    assert!(canceled.done);
    assert_eq!(error(&canceled).code, i32::from(Code::Cancelled));
    assert_eq!(metadata(&canceled).state(), State::Canceled);
    stage.work.running(0).await;
    cancel(&server, &name, "ann").await.unwrap();
    assert_eq!(server.get(&name, "ann").await.unwrap(), canceled);
    assert_eq!(server.status(&name, "ann").await["status"], "canceled");
}

async fn what_is_deleted_is_forgotten(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    assert_eq!(delete(&server, &name, "ann").await.unwrap_err().code(), Code::FailedPrecondition);
    stage.work.go(1);
    server.ended(&name, "ann").await;
    delete(&server, &name, "ann").await.unwrap();
    assert_eq!(server.get(&name, "ann").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(delete(&server, &name, "ann").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(server.http(Method::GET, &format!("/{name}"), "ann").await.status(), 404);
}

async fn others_find_nothing(stage: &Stage) {
    let server = stage.server().await;
    let name = server.begin("/jobs", "ann").await;
    let id = name.strip_prefix("operations/").unwrap();
    let unknown = "operations/0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa".to_owned();
    let malformed = ["", "operations/", "operations", id, "jobs/1", "operations/1"].map(str::to_owned);
    let malformed = malformed.into_iter().chain([format!("{name}/x"), name.to_uppercase(), format!("/{name}")]);
    let mut answers = Vec::new();
    for name in malformed.chain([unknown, name.clone()]) {
        answers.push(server.get(&name, "bob").await.unwrap_err());
        answers.push(cancel(&server, &name, "bob").await.unwrap_err());
        answers.push(delete(&server, &name, "bob").await.unwrap_err());
        let wait = WaitOperationRequest { name, timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }) };
        answers.push(within(server.client().wait_operation(of("bob", wait))).await.unwrap_err());
    }
    let alike = |status: &Status| {
        let names = status.metadata().keys().map(|key| format!("{key:?}")).filter(|key| !key.contains("date"));
        (status.code(), status.message().to_owned(), status.details().to_vec(), names.collect::<Vec<_>>())
    };
    assert_eq!(answers[0].code(), Code::NotFound);
    for answer in &answers {
        assert_eq!(alike(answer), alike(&answers[0]));
    }
    assert!(!server.get(&name, "ann").await.unwrap().done);
}
