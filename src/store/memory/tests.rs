//! What is special about this store; what it shares with the others is in the conformance suite.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::*;
use crate::{
    operation::{Ending, Failure, Key, Reply, ReplyBuilder, State, StoredRequest},
    policy::{Policy, Terms},
    store::{Attempt, Created, NewOperation, StoreError},
};

fn detached() -> NewOperation {
    let terms = Arc::new(Terms::new("/renders".into(), Policy::new()));
    NewOperation { id: OperationId::random(), owner: None, terms, key: None, request: None, lease: None }
}

fn durable() -> NewOperation {
    let uri = Uri::from_static("/renders?size=9");
    let request = StoredRequest::new(Method::POST, uri, HeaderMap::new(), Bytes::from_static(b"body"));
    NewOperation { request: Some(request), ..detached() }
}

fn keyed(request: u8) -> NewOperation {
    NewOperation { key: Some(Key { name: [1; 16], request: [request; 16] }), ..detached() }
}

fn reply(length: usize) -> Reply {
    let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &HeaderMap::new(), length).unwrap();
    reply.extend(&vec![b'-'; length][..]);
    reply.build(None).unwrap()
}

/// Whether nothing is left of what was there.
fn is_empty(store: &MemoryStore) -> bool {
    let counted = (store.count.load(Ordering::Relaxed), store.kept_bytes.load(Ordering::Relaxed));
    counted == (0, 0) && store.operations.is_empty() && store.extended.keys.is_empty()
}

#[test]
fn a_key_is_its_operations_for_as_long_as_that_is_kept() {
    let store = MemoryStore::new();
    let (first, owner) = (keyed(1), None);
    let id = first.id;
    assert!(matches!(store.create(first), Ok(Created::New { .. })));
    assert!(matches!(store.create(keyed(1)), Ok(Created::Existing(found)) if found.id == id));
    assert!(matches!(store.create(keyed(2)), Ok(Created::KeyTaken)));
    assert!(store.finish(id, reply(4)).is_some());
    assert!(matches!(store.create(keyed(1)), Ok(Created::Existing(found)) if found.state() == State::Succeeded));
    assert!(store.forget(id, owner));
    assert!(is_empty(&store));
    assert!(matches!(store.create(keyed(2)), Ok(Created::New { .. })));
}

#[test]
fn r9_many_creations_under_one_key_are_one_operation_of_which_a_forgotten_one_leaves_nothing() {
    for _ in 0..50 {
        let store = MemoryStore::new();
        let create = || match store.create(keyed(1)).unwrap() {
            Created::New { .. } => 1,
            Created::Existing(found) => {
                store.finish(found.id, reply(1));
                store.forget(found.id, None);
                0
            }
            Created::KeyTaken => panic!("the same request is taken for another"),
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).map(|_| create()).sum::<u32>());
            }
        });
        for id in store.operations.iter().map(|record| *record.key()).collect::<Vec<_>>() {
            assert!(store.finish(id, reply(1)).is_some() && store.forget(id, None));
        }
        assert!(is_empty(&store));
    }
}

#[test]
fn r7_a_full_store_creates_nothing_and_says_what_is_there_already() {
    let store = MemoryStore::new().max_kept_operations(1);
    let first = keyed(1);
    let id = first.id;
    store.create(first).unwrap();
    assert!(matches!(store.create(detached()), Err(StoreError::Full)));
    assert!(matches!(store.create(keyed(1)), Ok(Created::Existing(found)) if found.id == id));
    store.finish(id, reply(1));
    store.forget(id, None);
    assert!(matches!(store.create(keyed(1)), Ok(Created::New { .. })));
}

#[test]
fn r7_replies_take_no_more_room_than_there_is() {
    let store = MemoryStore::new().max_kept_bytes(100);
    let [small, large] = [detached(), detached()].map(|operation| {
        let attempt = Attempt { operation: operation.id, number: 1 };
        store.create(operation).unwrap();
        attempt
    });
    assert_eq!(store.finish_attempt(small, reply(60)).unwrap().state, State::Succeeded);
    assert_eq!(store.finish_attempt(large, reply(60)).unwrap().failure, Some(Failure::ReplyTooLarge));
    assert!(store.forget(small.operation, None) && store.forget(large.operation, None));
    assert!(is_empty(&store));
}

#[test]
fn an_operation_of_an_id_that_is_there_is_not_created() {
    let store = MemoryStore::new();
    let (operation, lease) = (detached(), None);
    let again = NewOperation { id: operation.id, lease, ..durable() };
    store.create(operation).unwrap();
    assert!(matches!(store.create(again), Err(StoreError::Unsupported(_))));
    assert_eq!(store.count.load(Ordering::Relaxed), 1);
}

#[test]
fn what_was_canceled_in_the_queue_leaves_nothing_there() {
    let store = MemoryStore::new();
    let lease = store.open_lease(Duration::from_secs(60), Vec::new()).id;
    let [rested, resting] = [durable(), durable()].map(|operation| {
        let id = operation.id;
        store.create(operation).unwrap();
        id
    });
    let claimed = store.claim(lease, 2).unwrap();
    assert_eq!(claimed.len(), 2);
    store.hand_back(Attempt { operation: rested, number: 1 }).unwrap();
    store.retry(Attempt { operation: resting, number: 1 }, Failure::Panicked).unwrap();
    for id in [rested, resting] {
        assert!(matches!(store.cancel(id, None), Canceled::Now(_)));
    }
    assert!(store.extended.queue.is_empty());
}
