//! What only this store can show: what the conformance suite cannot bring about.

mod bodies;
mod cluster;
mod opening;
mod outages;
mod room;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../../../tests/stores/redis/server.rs"]
mod server;
mod strangers;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::sync::mpsc;

use super::{RedisOpenError, RedisStore};
use crate::{
    operation::{Ending, Key, Life, OperationId, Owner, Refused, Reply, ReplyBuilder, State, StoredRequest},
    policy::{Policy, Terms},
    store::{
        StoreError,
        contract::{Attempt, Cancellation, Change, Created, LeaseId, ListFilter, NewOperation, Part, Store},
    },
};
use server::Server;

async fn open(server: &Server) -> RedisStore {
    RedisStore::builder(server.url()).open().await.unwrap()
}

fn operation() -> NewOperation {
    let terms = Arc::new(Terms::new("/renders".into(), Policy::new()));
    NewOperation { id: OperationId::random(), owner: None, terms, key: None, request: None, lease: None }
}

fn request(body: Bytes) -> StoredRequest {
    StoredRequest::new(Method::POST, Uri::from_static("/renders"), HeaderMap::new(), body)
}

fn durable(body: Bytes) -> NewOperation {
    NewOperation { request: Some(request(body)), ..operation() }
}

fn reply(body: &[u8]) -> Reply {
    let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &HeaderMap::new(), body.len()).unwrap();
    reply.extend(body);
    reply.build(None).unwrap()
}

async fn create(store: &RedisStore, operation: NewOperation) -> Attempt {
    let first = Attempt { operation: operation.id, number: 1 };
    assert!(matches!(store.create(operation).await.unwrap(), Created::New { .. }));
    first
}

async fn lease(store: &RedisStore) -> LeaseId {
    store.open_lease(Duration::from_secs(600), Vec::new()).await.unwrap().id
}

/// Bytes that compress badly and show where they were.
fn large(length: usize) -> Bytes {
    (0..length).map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8).collect()
}

async fn ask<T: redis::FromRedisValue>(store: &RedisStore, command: &[&str]) -> T {
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]);
    let (link, asked) = (Arc::clone(&store.link), asked);
    let answer: redis::Value = store.engine.run(async move { link.connection.ask(&asked).await }).await.unwrap();
    redis::from_redis_value(answer).unwrap()
}

/// Everything that has to do with operations is gone; what remains are numbers.
async fn expect_nothing_left(store: &RedisStore) {
    let mut left: Vec<String> = ask(store, &["KEYS", "*"]).await;
    left.retain(|key| !["counts", "leases", "lengths", "due", "chunks"].iter().any(|kept| key.ends_with(kept)));
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(store.counts().await.unwrap(), crate::store::contract::Counts::default());
}
