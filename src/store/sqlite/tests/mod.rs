//! What is special about this store; what it shares with the others is in the conformance suite.

mod batches;
mod files;
mod groups;
mod outages;
mod processes;
mod strangers;
mod turns;
mod watching;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;
use crate::{
    Policy,
    operation::{Ending, ReplyBuilder, State, StoredRequest},
    policy::Terms,
};

const LONG: Duration = Duration::from_secs(60 * 60);

/// A folder that is removed in the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("respond-async-{}", OperationId::random()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("operations.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// The file as something else would open it.
async fn by_hand(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn execute(path: &Path, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&mut by_hand(path).await).await.unwrap();
}

fn terms(policy: Policy) -> Arc<Terms> {
    Arc::new(Terms::new("/renders".into(), Policy { is_durable: true, ..policy }))
}

fn detached() -> NewOperation {
    let terms = terms(Policy::new());
    NewOperation { id: OperationId::random(), owner: None, terms, key: None, request: None, lease: None }
}

fn queued() -> NewOperation {
    let uri = Uri::from_static("/renders?size=9");
    let request = StoredRequest::new(Method::POST, uri, HeaderMap::new(), Bytes::from_static(b"\0body\xff"));
    NewOperation { request: Some(request), ..detached() }
}

fn reply(body: &[u8]) -> Reply {
    let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &HeaderMap::new(), body.len()).unwrap();
    reply.extend(body);
    reply.build(None).unwrap()
}

async fn running(store: &SqliteStore) -> Attempt {
    let operation = detached();
    let attempt = Attempt { operation: operation.id, number: 1 };
    store.create(operation).await.unwrap();
    attempt
}

async fn state(store: &SqliteStore, id: OperationId) -> Option<State> {
    store.read(id, None, Part::Status).await.unwrap().map(|snapshot| snapshot.life.state)
}
