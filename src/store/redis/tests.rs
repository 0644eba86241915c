//! What only this store can show: what the conformance suite cannot bring about.

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../../tests/stores/redis/server.rs"]
mod server;

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

#[tokio::test]
async fn what_was_answered_survives_that_the_server_is_killed() {
    let mut server = Server::start(&[]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    let running = create(&store, operation()).await;
    let queued = durable(Bytes::from_static(b"\0\xff"));
    let id = queued.id;
    create(&store, queued).await;

    server.kill();
    let down = store.read(id, None, Part::Status).await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    let down = store.finish(running, Arc::new(reply(b"lost"))).await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    server.restart();

    let finished = loop {
        match store.finish(running, Arc::new(reply(b"kept"))).await {
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            finished => break finished,
        }
    };
    assert_eq!(finished.unwrap().state, State::Succeeded);
    let claimed = store.claim(lease, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].attempt, Attempt { operation: id, number: 1 });
    assert_eq!(claimed[0].request, request(Bytes::from_static(b"\0\xff")));
}

#[tokio::test]
async fn a_server_that_is_silent_is_unavailable_within_the_patience() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", silent.local_addr().unwrap());
    let opened = RedisStore::builder(url).patience(Duration::from_millis(50)).open().await;
    assert!(matches!(opened, Err(RedisOpenError::Unavailable(StoreError::Unavailable(_)))), "{opened:?}");
}

/// However many batches wait, they are not given up one after the other.
#[tokio::test]
async fn what_waits_for_a_silent_server_is_given_up_together() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let server = Server::start(&[]);
    let store = RedisStore::builder(server.url()).patience(PATIENCE).open().await.unwrap();
    server.stop();
    let started = std::time::Instant::now();
    let waiting: Vec<_> = (0..128 * 20).map(|_| store.create(operation())).collect();
    for one in waiting {
        assert!(matches!(one.await, Err(StoreError::Unavailable(_))));
    }
    assert!(started.elapsed() < PATIENCE * 10, "{:?}", started.elapsed());
    server.resume();
    while store.counts().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_cluster_says_where_the_store_is() {
    let bus = [server::free_port(), server::free_port()].map(|port| port.to_string());
    let node = |bus| Server::start(&["--cluster-enabled", "yes", "--cluster-port", bus]);
    let (asked, other) = (node(&bus[0]), node(&bus[1]));
    let (here, there) = (Node::of(&asked).await, Node::of(&other).await);
    there.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    here.ask(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string(), &bus[1]]).await;
    here.is_in_order().await;
    there.is_in_order().await;

    let store = open(&asked).await;
    let lease = lease(&store).await;
    create(&store, durable(large(20_000))).await;
    let claimed = store.claim(lease, 1).await.unwrap().remove(0);
    store.finish(claimed.attempt, Arc::new(reply(b"there"))).await.unwrap();
    assert_eq!(store.counts().await.unwrap().succeeded, 1);
    assert_ne!(there.ask(&["DBSIZE"]).await, redis::Value::Int(0));
}

struct Node(redis::aio::MultiplexedConnection);

impl Node {
    async fn of(server: &Server) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    async fn ask(&self, command: &[&str]) -> redis::Value {
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut self.0.clone()).await.unwrap()
    }

    async fn is_in_order(&self) {
        loop {
            let info: String = redis::from_redis_value(self.ask(&["CLUSTER", "INFO"]).await).unwrap();
            if info.contains("cluster_state:ok") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn scripts_are_given_to_a_server_that_has_forgotten_them() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let running = create(&store, operation()).await;
    let _: String = ask(&store, &["SCRIPT", "FLUSH"]).await;
    store.finish(running, Arc::new(reply(b""))).await.unwrap();
    let _: String = ask(&store, &["SCRIPT", "FLUSH"]).await;
    assert!(store.read(running.operation, None, Part::Reply).await.unwrap().unwrap().end.is_some());
}

#[tokio::test]
async fn a_server_that_evicts_is_not_opened_unless_for_what_is_detached() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    let refused = RedisStore::builder(server.url()).open().await;
    assert!(matches!(&refused, Err(RedisOpenError::Evicts(policy)) if policy == "allkeys-lru"), "{refused:?}");
    let store = RedisStore::builder(server.url()).allow_eviction(true).open().await.unwrap();
    create(&store, operation()).await;
    let refused = store.create(durable(Bytes::new())).await;
    assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_does_not_show_its_settings_is_opened() {
    let server = Server::start(&["--rename-command", "CONFIG", ""]);
    create(&open(&server).await, durable(Bytes::new())).await;
}

#[tokio::test]
async fn a_replica_is_not_opened() {
    let server = Server::start(&["--replicaof", "127.0.0.1", "1"]);
    let refused = RedisStore::builder(server.url()).open().await;
    assert!(matches!(refused, Err(RedisOpenError::Replica)), "{refused:?}");
}

#[tokio::test]
async fn prefixes_that_would_spread_over_a_cluster_are_refused() {
    for prefix in ["", "}", "a{b}"] {
        let refused = RedisStore::builder("redis://127.0.0.1:1/").prefix(prefix).open().await;
        assert!(matches!(refused, Err(RedisOpenError::Prefix)), "{prefix}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_written_and_not_replicated_is_unavailable_where_that_was_asked_for() {
    let server = Server::start(&[]);
    let patience = Duration::from_millis(500);
    let store = RedisStore::builder(server.url()).wait_replicas(1).patience(patience).open().await.unwrap();
    let created = store.create(operation()).await;
    assert!(matches!(created, Err(StoreError::Unavailable(_))), "{created:?}");
}

#[tokio::test]
async fn large_bodies_come_back_whole_and_leave_nothing_behind() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    for length in [16 * 1024, 1024 * 1024, 3 * 1024 * 1024 + 1] {
        let body = large(length);
        create(&store, durable(body.clone())).await;
        let claimed = store.claim(lease, 1).await.unwrap().remove(0);
        assert_eq!(claimed.request.body, body);
        store.finish(claimed.attempt, Arc::new(reply(&body))).await.unwrap();

        let id = claimed.attempt.operation;
        let read = async |part| store.read(id, None, part).await.unwrap().unwrap().end.unwrap();
        assert_eq!(read(Part::Reply).await.reply, reply(&body));
        assert_eq!(read(Part::Status).await.reply.state(), State::Succeeded);
        assert_eq!(store.counts().await.unwrap().reply_bytes, length as u64);
        assert!(store.forget(id, None).await.unwrap());
        expect_nothing_left(&store).await;
    }
}

/// A claimant has to hold in memory what it claims.
#[tokio::test]
async fn few_large_requests_are_claimed_at_once() {
    let server = Server::start(&["--appendonly", "no"]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    for _ in 0..3 {
        create(&store, durable(large(10 * 1024 * 1024))).await;
    }
    for expected in [2, 1, 0] {
        assert_eq!(store.claim(lease, 10).await.unwrap().len(), expected);
    }
}

/// A sweep stops where it has forgotten much, and the next goes on from there.
#[tokio::test]
async fn large_replies_are_forgotten_a_few_at_a_time() {
    let server = Server::start(&["--appendonly", "no"]);
    let store = open(&server).await;
    let body = large(40 * 1024 * 1024);
    for _ in 0..3 {
        let terms = Arc::new(Terms::new("/renders".into(), Policy::new().retention(Duration::ZERO)));
        let running = create(&store, NewOperation { terms, ..operation() }).await;
        store.finish(running, Arc::new(reply(&body))).await.unwrap();
    }
    let swept = store.sweep(100).await.unwrap();
    assert_eq!((swept.expired.len(), swept.more), (2, true));
    let swept = store.sweep(100).await.unwrap();
    assert_eq!((swept.expired.len(), swept.more), (1, false));
    expect_nothing_left(&store).await;
}

#[tokio::test]
async fn a_large_reply_that_is_refused_counts_for_nothing_and_is_swept() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let running = create(&store, operation()).await;
    let canceled = store.cancel(running.operation, None).await.unwrap();
    assert!(matches!(canceled, Cancellation::Canceled(_)));
    let refused = store.finish(running, Arc::new(reply(&large(100_000)))).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refused::Ended(State::Canceled)))), "{refused:?}");
    assert!(store.forget(running.operation, None).await.unwrap());
    let drafts = "{respond-async}:drafts";
    let members: Vec<redis::Value> = ask(&store, &["ZRANGE", drafts, "0", "-1"]).await;
    let [redis::Value::BulkString(draft)] = &*members else { panic!("{members:?}") };
    let mut aged = redis::cmd("ZADD");
    aged.arg(drafts).arg(0).arg(draft);
    let link = Arc::clone(&store.link);
    store.engine.run(async move { link.connection.ask::<()>(&aged).await }).await.unwrap();
    store.sweep(10).await.unwrap();
    expect_nothing_left(&store).await;
}

#[tokio::test]
async fn a_server_without_memory_is_full_and_still_lets_operations_end() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let running = create(&store, operation()).await;
    let _: String = ask(&store, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let full = store.create(operation()).await;
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    store.finish(running, Arc::new(reply(b"done"))).await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.running, counts.succeeded, counts.reply_bytes), (0, 1, 4));
    assert!(store.forget(running.operation, None).await.unwrap());
    let _: String = ask(&store, &["CONFIG", "SET", "maxmemory", "0"]).await;
    expect_nothing_left(&store).await;
}

#[tokio::test]
async fn what_was_claimed_by_an_answer_that_never_came_is_given_back() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    let queued = durable(large(50_000));
    let id = queued.id;
    create(&store, queued).await;
    // The claim is done, and what it claimed cannot be read.
    let (pieces, aside) = ("{respond-async}:pieces", "{respond-async}:aside");
    let _: String = ask(&store, &["RENAME", pieces, aside]).await;
    let _: i64 = ask(&store, &["LPUSH", pieces, "not what it should be"]).await;
    let broken = store.claim(lease, 1).await;
    assert!(matches!(broken, Err(StoreError::Unavailable(_))), "{broken:?}");
    let _: String = ask(&store, &["RENAME", aside, pieces]).await;
    let again = loop {
        if let Some(again) = store.claim(lease, 1).await.unwrap().pop() {
            break again;
        }
    };
    assert_eq!(again.attempt, Attempt { operation: id, number: 2 });
    let found = store.read(id, None, Part::Status).await.unwrap().unwrap();
    assert_eq!(found.life, Life { state: State::Running, attempt: 2, failures: 0 });
}

#[tokio::test]
async fn a_listener_hears_of_others_and_of_its_own_absence() {
    let mut server = Server::start(&[]);
    let (store, other) = (open(&server).await, open(&server).await);
    let (sender, mut changes) = mpsc::unbounded_channel();
    store.announce_to(Arc::new(move |change| sender.send(change).unwrap()));
    assert_eq!(changes.recv().await, Some(Change::Anything));

    let own = create(&store, operation()).await;
    store.finish(own, Arc::new(reply(b""))).await.unwrap();
    let queued = durable(Bytes::new());
    create(&other, queued).await;
    let running = create(&other, operation()).await;
    other.finish(running, Arc::new(reply(b""))).await.unwrap();
    assert_eq!(changes.recv().await, Some(Change::Queued));
    assert_eq!(changes.recv().await, Some(Change::Operation(running.operation)));

    server.kill();
    server.restart();
    assert_eq!(changes.recv().await, Some(Change::Anything));
}

#[tokio::test]
async fn a_finished_operation_takes_at_most_200_bytes_beyond_its_reply() {
    const COUNT: usize = 100_000;
    let server = Server::start(&["--appendonly", "no"]);
    let store = open(&server).await;
    let (before, _) = (memory(&store).await, create_and_finish(&store, 1).await);
    create_and_finish(&store, COUNT).await;
    let each = (memory(&store).await - before) / COUNT as f64;
    assert!(each <= 200.0, "{each}");
}

async fn create_and_finish(store: &RedisStore, count: usize) {
    let terms = Arc::new(Terms::new("/renders".into(), Policy::new()));
    for _ in 0..count.div_ceil(500) {
        let some = (0..500.min(count)).map(|_| {
            let (store, terms) = (store.clone(), Arc::clone(&terms));
            tokio::spawn(async move {
                let running = create(&store, NewOperation { terms, ..operation() }).await;
                store.finish(running, Arc::new(reply(b""))).await.unwrap();
            })
        });
        for one in some.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }
}

async fn memory(store: &RedisStore) -> f64 {
    let info: String = ask(store, &["INFO", "memory"]).await;
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn keys_and_owners_are_cleaned_up_with_their_operations() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let (owner, key) = (Owner::new("ann".repeat(30_000)), Key { name: [7; 16], request: [8; 16] });
    let keyed = NewOperation { owner: Some(owner.clone()), key: Some(key), ..durable(Bytes::new()) };
    let id = keyed.id;
    create(&store, keyed).await;
    assert_eq!(store.list(&owner, ListFilter::default(), 9).await.unwrap().operations.len(), 1);
    assert!(matches!(store.cancel(id, Some(&owner)).await.unwrap(), Cancellation::Canceled(_)));
    assert!(store.forget(id, Some(&owner)).await.unwrap());
    expect_nothing_left(&store).await;
}
