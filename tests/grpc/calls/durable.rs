//! Durable calls: stored before they are accepted, run by a worker, in SQLite.

use std::{env, fs, path::PathBuf, process, time::Duration};

use http_body_util::BodyExt;
use tonic::codec::CompressionEncoding;
use tower_respond_async::{
    Execution, Policy,
    longrunning::messages::operation_metadata::State,
    store::{Store, sqlite::SqliteStore},
};

use super::{
    stage::{RENDER, Stage, application, builder, error, metadata, response},
    studio::{Order, Picture, Studio, picture},
};

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("respond-async-calls-{name}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    async fn store(&self) -> impl Store {
        SqliteStore::open(self.0.join("operations.db")).await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

fn durable() -> Policy {
    Policy::new().grace(Duration::ZERO).execution(Execution::Durable)
}

#[tokio::test]
async fn a_worker_elsewhere_runs_what_a_server_has_only_accepted() {
    let folder = Folder::new("worker");
    let operations = builder().store(folder.store().await).only_accepts(true).build().unwrap();
    let stage = Stage::of(operations, Studio::new(None), durable()).await;
    let call = Order { size: 100_000, ..Order::QUICK }.with("grpc-timeout", "30S");
    let operation = stage.begin(call).await.unwrap();
    assert!(!operation.done);
    assert_eq!((metadata(&operation).state(), metadata(&operation).attempt), (State::Queued, 0));
    assert_eq!(stage.studio.count(), 0);

    let elsewhere = builder().store(folder.store().await).build().unwrap();
    let studio = Studio::new(Some(CompressionEncoding::Gzip));
    let worker = elsewhere.worker(application(&elsewhere, studio.clone(), durable().into()));
    let worker = tokio::spawn(worker.run());
    let ended = stage.wait(&operation.name).await;
    assert_eq!(response::<Picture>(&ended), picture(100_000));
    assert_eq!((metadata(&ended).route.as_str(), metadata(&ended).attempt), (RENDER, 1));
    assert_eq!((stage.studio.count(), studio.count()), (0, 1));

    // Without the opt-in, the client waits for the worker.
    assert_eq!(stage.render(Order::QUICK).await.unwrap(), picture(7));
    assert_eq!(
        stage.render(Order { fails: true, ..Order::QUICK }).await.unwrap_err().message(),
        "cannot paint: n\u{f6} light"
    );
    elsewhere.drain(Duration::ZERO).await;
    worker.await.unwrap();
}

#[tokio::test]
async fn what_is_queued_over_http_is_said_to_be() {
    let folder = Folder::new("queued");
    let operations = builder().store(folder.store().await).only_accepts(true).build().unwrap();
    let stage = Stage::of(operations, Studio::new(None), durable().budget(Duration::ZERO)).await;
    let accepted = stage.http("POST", RENDER).await;
    assert_eq!(accepted.status(), 202);
    let document = accepted.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&document).unwrap()["status"], "queued");
}

#[tokio::test]
async fn a_reply_outlives_its_process() {
    let folder = Folder::new("reply");
    let operations = builder().store(folder.store().await).build().unwrap();
    let first = Stage::of(operations, Studio::new(None), durable()).await;
    let rendered = first.begin(Order::SLOW).await.unwrap();
    first.studio.open();
    first.wait(&rendered.name).await;
    let failed = first.begin(Order { fails: true, ..Order::SLOW }).await.unwrap();
    first.studio.open();
    first.wait(&failed.name).await;
    first.operations.drain(Duration::ZERO).await;
    drop(first);

    // What it knows of the method is in the store.
    let operations = builder().store(folder.store().await).build().unwrap();
    let second = Stage::of(operations, Studio::new(None), Policy::new()).await;
    assert_eq!(response::<Picture>(&second.get(&rendered.name).await.unwrap()), picture(7));
    assert_eq!(error(&second.get(&failed.name).await.unwrap()).details.len(), 2);
}
