//! What only this store can get wrong. That it keeps the contract is for the conformance suite to say.

mod opening;
mod outages;
#[path = "../../../../tests/support/postgres.rs"]
mod server;
mod strangers;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

use super::*;
use crate::{
    operation::{Ending, Key, Refused, ReplyBuilder, State, StoredRequest},
    policy::{Policy, Terms},
    store::contract::NewOperation,
};

use database::Way;
use server::Server;

fn terms() -> Arc<Terms> {
    let policy = Policy { is_durable: true, ..Policy::default() };
    Arc::new(Terms::new("/renders".into(), policy))
}

fn operation(owner: &str, body: usize) -> NewOperation {
    let body = Bytes::from(vec![b'\0'; body]);
    let request = StoredRequest::new(Method::POST, Uri::from_static("/renders"), HeaderMap::new(), body);
    NewOperation {
        id: OperationId::random(),
        owner: Some(Owner::new(owner)),
        terms: terms(),
        key: None,
        request: Some(request),
        lease: None,
    }
}

fn reply(body: &[u8]) -> Reply {
    let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &HeaderMap::new(), 0).unwrap();
    reply.extend(body);
    reply.build(None).unwrap()
}

fn builder(options: PgConnectOptions, server: &Server) -> PostgresBuilder {
    PostgresBuilder::new(options).table_prefix(server.prefix())
}

async fn store(server: &Server) -> PostgresStore {
    let builder = builder(server.options(), server);
    builder.migrate().await.unwrap();
    builder.connect().await.unwrap()
}

async fn claim_one(store: &PostgresStore, lease: LeaseId) -> Claimed {
    store.claim(lease, 1).await.unwrap().pop().expect("something is queued")
}

/// From its creation to its end, and reads it then.
async fn live_through(store: &PostgresStore, body: usize) {
    let operation = operation("a\0b", body);
    let (id, owner) = (operation.id, operation.owner.clone());
    assert!(matches!(store.create(operation).await.unwrap(), Created::New { .. }));
    let lease = store.open_lease(Duration::from_secs(60), Vec::new()).await.unwrap().id;
    let claimed = claim_one(store, lease).await;
    assert_eq!((claimed.attempt, claimed.request.body.len()), (Attempt { operation: id, number: 1 }, body));
    let reply = || reply(&vec![b'\\'; body]);
    assert_eq!(store.finish(claimed.attempt, Arc::new(reply())).await.unwrap().state, State::Succeeded);
    let found = store.read(id, owner.as_ref(), Part::Reply).await.unwrap().expect("it is kept");
    assert_eq!(found.end.unwrap().reply, reply());
    let again = store.finish(claimed.attempt, Arc::new(reply())).await;
    assert!(matches!(again, Err(StoreError::Refused(Refused::Ended(State::Succeeded)))), "{again:?}");
}

#[tokio::test]
async fn requests_and_replies_may_have_any_size() {
    let server = Server::start();
    let store = store(&server).await;
    for size in [0, 1, database::LARGE - 64, database::LARGE + 1, 3_000_000] {
        live_through(&store, size).await;
    }
}

#[tokio::test]
async fn nothing_breaks_behind_pgbouncer() {
    let server = Server::start();
    let (_pgbouncer, proxied) = server.pgbouncer();
    let builder = builder(proxied, &server).listen_on(server.options());
    builder.migrate().await.unwrap();
    let store = Arc::new(builder.connect().await.unwrap());
    let mut lives = tokio::task::JoinSet::new();
    let lease = store.open_lease(Duration::from_secs(60), Vec::new()).await.unwrap().id;
    for size in (0..60).map(|turn| turn * 1_000) {
        let store = Arc::clone(&store);
        lives.spawn(async move {
            let operation = operation("somebody", size);
            store.create(operation).await.unwrap();
            // Somebody's, not necessarily one's own.
            let claimed = claim_one(&store, lease).await;
            store.finish(claimed.attempt, Arc::new(reply(&claimed.request.body))).await.unwrap();
            store.read(claimed.attempt.operation, claimed.owner.as_ref(), Part::Reply).await.unwrap().unwrap()
        });
    }
    for found in lives.join_all().await {
        assert_eq!(found.life.state, State::Succeeded);
    }
}

#[tokio::test]
async fn a_key_is_free_again_once_its_operation_has_expired_though_nobody_has_swept() {
    let server = Server::start();
    let store = store(&server).await;
    let key = Some(Key { name: [1; 16], request: [2; 16] });
    let policy = Policy { retention: Duration::from_millis(1), ..Policy::default() };
    let terms = Arc::new(Terms::new("/".into(), policy));
    let one = || NewOperation { key, request: None, terms: Arc::clone(&terms), ..operation("somebody", 0) };
    let first = one();
    let attempt = Attempt { operation: first.id, number: 1 };
    store.create(first).await.unwrap();
    assert!(matches!(store.create(one()).await.unwrap(), Created::Existing(_)));
    let other = Some(Key { name: [1; 16], request: [3; 16] });
    assert!(matches!(store.create(NewOperation { key: other, ..one() }).await.unwrap(), Created::KeyTaken));
    store.finish(attempt, Arc::new(reply(b""))).await.unwrap();
    while !matches!(store.create(one()).await.unwrap(), Created::New { .. }) {}
    assert_eq!(store.sweep(10).await.unwrap().expired, [attempt.operation]);
    assert!(matches!(store.create(one()).await.unwrap(), Created::Existing(_)));
}

/// Neither new tables, of which nothing is known, nor what was true once may have a claim go through all that is
/// queued.
#[tokio::test]
async fn rows_are_found_by_index_whatever_is_known_of_the_tables() {
    let server = Server::start();
    let builder = builder(server.options(), &server);
    builder.migrate().await.unwrap();
    let prefix = builder.prefix;
    let fill = "INSERT INTO {p}live (id, created, terms, attempt, failures, state, lane, request)
        SELECT gen_random_uuid(), n, 1, 0, 0, 'q', md5('')::uuid, '' FROM generate_series(1, 10000) n";
    server.sql(&fill.replace("{p}", &prefix)).await;
    let ids = "'{00000000-0000-0000-0000-000000000000}'::uuid[]";
    let (none, one) = ("'{NULL}'::text[]", "'{1}'::int8[]");
    for (statement, arguments) in [
        (CLAIM, &["1", "64", "1", "'00000000-0000-0000-0000-000000000000'::uuid"][..]),
        (FINISH, &[ids, one, none, none, one, none]),
        (READ, &[ids, none, one, "1"]),
    ] {
        let whole = statement.whole(&prefix, arguments);
        let plan = server.sql(&format!("{} EXPLAIN (FORMAT JSON) {whole}", statement::PLANNED)).await;
        assert!(plan.contains("Index Scan"), "{plan}");
        for scan in ["Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"] {
            assert!(!plan.contains(scan), "{}: {scan}: {plan}", statement.label);
        }
    }
}

#[tokio::test]
async fn a_session_of_ones_own_knows_the_statements() {
    let server = Server::start();
    let store = store(&server).await;
    live_through(&store, 1).await;
    assert!(store.shared.database.knows_statements());
}

/// As when an administrator has had it reset.
#[tokio::test]
async fn a_session_that_has_forgotten_the_statements_gives_way_to_one_that_knows_them() {
    let server = Server::start();
    let builder = builder(server.options(), &server).connections(1);
    builder.migrate().await.unwrap();
    let store = builder.connect().await.unwrap();
    for _ in 0..2 {
        live_through(&store, 1).await;
        store.shared.database.rows("DISCARD ALL", &[]).await.unwrap();
    }
    live_through(&store, 1).await;
    assert!(store.shared.database.knows_statements());
}

#[tokio::test]
async fn what_is_committed_stands_though_it_cannot_be_announced() {
    const KEEP: statement::Statement = statement::Statement {
        label: "keep",
        template: "INSERT INTO {p}keys VALUES ({name}, {name}, {name}) RETURNING name::text",
        parts: &[],
        arguments: &[("name", "uuid")],
    };
    let server = Server::start();
    let builder = builder(server.options(), &server).connections(1);
    builder.migrate().await.unwrap();
    let store = builder.connect().await.unwrap();
    let database = &store.shared.database;
    let keep =
        || database.often(Way::Announcing("SELECT 1 / 0"), &KEEP, &["'{00000000-0000-0000-0000-000000000001}'::uuid"]);
    assert_eq!(keep().await.unwrap().len(), 1);
    let again = keep().await;
    assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
    assert_eq!(database.rows("SELECT name FROM {p}keys", &[]).await.unwrap().len(), 1);
    live_through(&store, 1).await;
}

#[test]
fn a_store_may_be_dropped_where_there_is_no_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async {
        let server = Server::start();
        let store = store(&server).await;
        live_through(&store, 1).await;
        store
    });
    let database = Arc::downgrade(&store.shared.database);
    drop(runtime);
    drop(store);
    while database.strong_count() > 0 {
        std::thread::yield_now();
    }
}
