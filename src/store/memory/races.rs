//! R9 in every order: an operation is finished, canceled, timed out and forgotten, and read all the while. The map's
//! own locks are no scheduler's business, so each call is one step here; what happens within is left to threads that
//! race in earnest, in `tests/contract/races.rs`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use shuttle::{check_dfs, thread};

use super::*;
use crate::{
    operation::{Ending, Failure, Owner, Reply, ReplyBuilder, State, StoredRequest, Timestamp},
    policy::{Policy, Terms},
    store::{Attempt, NewOperation},
};

const OWNER: Option<&Owner> = None;

/// A store with one operation that runs.
fn with_one(policy: Policy) -> (Arc<MemoryStore>, OperationId) {
    let limits = MemoryLimits { operations: 1, bytes: 1_000 };
    let store = MemoryStore::of_one_hub(limits);
    let id = OperationId::random();
    store.create(operation(id, policy)).unwrap();
    (Arc::new(store), id)
}

fn operation(id: OperationId, policy: Policy) -> NewOperation {
    let terms = Arc::new(Terms::new("default".into(), policy));
    NewOperation { id, owner: None, terms, key: None, request: None, lease: None }
}

fn reply() -> Reply {
    let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &HeaderMap::new(), 4).unwrap();
    reply.extend(&b"done"[..]);
    reply.build(None).unwrap()
}

/// Has each act in a thread of its own, in every order. `check` sees what was won by whom.
fn try_all<const N: usize>(acts: [fn(&MemoryStore, OperationId) -> bool; N], check: Check<N>) {
    try_all_in(|| with_one(Policy::new()), acts, check);
}

type Check<const N: usize> = fn(&MemoryStore, OperationId, [bool; N]);

fn try_all_in<const N: usize>(
    made: fn() -> (Arc<MemoryStore>, OperationId),
    acts: [fn(&MemoryStore, OperationId) -> bool; N],
    check: Check<N>,
) {
    let every = move || {
        let (store, id) = made();
        let threads = acts.map(|act| {
            let store = Arc::clone(&store);
            thread::spawn(move || act(&store, id))
        });
        check(&store, id, threads.map(|thread| thread.join().unwrap()));
    };
    check_dfs(every, None);
}

fn finish(store: &MemoryStore, id: OperationId) -> bool {
    store.finish(id, reply()).is_some()
}

fn fail(store: &MemoryStore, id: OperationId) -> bool {
    store.finish(id, Reply::none(Ending::Failed(Failure::TimedOut))).is_some()
}

fn cancel(store: &MemoryStore, id: OperationId) -> bool {
    matches!(store.cancel(id, OWNER), Canceled::Now(_))
}

fn forget(store: &MemoryStore, id: OperationId) -> bool {
    store.forget(id, OWNER)
}

/// What has ended once is never seen otherwise.
fn is_seen_to_end_once(store: &MemoryStore, id: OperationId) -> bool {
    let mut last = State::Running;
    for _ in 0..3 {
        let state = store.read(id, OWNER).unwrap().state();
        assert!(last == State::Running || last == state, "{last} became {state}");
        last = state;
        thread::yield_now();
    }
    true
}

#[test]
fn r9_one_end_wins_and_stays() {
    try_all([finish, cancel, fail], |store, id, [finished, canceled, failed]| {
        let state = match (finished, canceled, failed) {
            (true, false, false) => State::Succeeded,
            (false, true, false) => State::Canceled,
            (false, false, true) => State::Failed,
            several => panic!("{several:?}"),
        };
        assert_eq!(store.read(id, OWNER).unwrap().state(), state);
        assert_eq!(store.kept_bytes.load(Ordering::Relaxed), if finished { 4 } else { 0 });
    });
}

#[test]
fn r9_an_end_is_never_seen_to_change() {
    try_all([finish, cancel, is_seen_to_end_once], |_, _, _| ());
}

#[test]
fn r9_what_is_forgotten_had_ended_and_comes_back_by_nothing() {
    try_all([finish, forget, forget], |store, id, [finished, one, other]| {
        assert!(finished);
        assert!(!(one && other), "forgotten twice");
        let forgotten = one || other;
        assert_eq!(store.read(id, OWNER).is_none(), forgotten);
        assert_eq!(store.kept_bytes.load(Ordering::Relaxed), if forgotten { 0 } else { 4 });
        assert_eq!(store.count.load(Ordering::Relaxed), usize::from(!forgotten));
    });
}

#[test]
fn r9_what_expires_while_it_is_forgotten_gives_back_one_place() {
    let sweep = |store: &MemoryStore, id| {
        for _due in store.expiry.take_due(Timestamp::from_millis(u64::MAX), 1) {
            thread::yield_now();
            store.remove_if(id, Record::has_ended);
        }
        true
    };
    try_all([finish, forget, sweep], |store, id, _| {
        let kept = usize::from(store.read(id, OWNER).is_some());
        assert_eq!((store.count.load(Ordering::Relaxed), store.kept_bytes.load(Ordering::Relaxed)), (kept, 4 * kept));
    });
}

const LONG: Duration = Duration::from_secs(60);

/// Claims in two steps, as other threads see it.
fn claim(store: &MemoryStore, _: OperationId) -> bool {
    let (lease, now) = (store.open_lease(LONG, Vec::new()).id, store.clock.now());
    let next = store.extended.queue.next(now);
    thread::yield_now();
    next.is_some_and(|id| store.begin(id, lease, now).unwrap().is_some())
}

fn give_back(store: &MemoryStore, id: OperationId) -> bool {
    store.hand_back(Attempt { operation: id, number: 1 }).is_ok()
}

/// A store with one operation that is queued.
fn with_one_queued() -> (Arc<MemoryStore>, OperationId) {
    let (store, id) = (MemoryStore::new(), OperationId::random());
    let request = StoredRequest::new(Method::POST, Uri::from_static("/"), HeaderMap::new(), Bytes::new());
    store.create(NewOperation { request: Some(request), ..operation(id, Policy::new()) }).unwrap();
    (Arc::new(store), id)
}

#[test]
fn r9_what_leaves_the_queue_is_claimed_or_canceled_and_never_lost() {
    try_all_in(
        with_one_queued,
        [claim, claim, cancel, give_back],
        |store, id, [one, another, canceled, given_back]| {
            assert!(canceled);
            assert!(given_back || !(one && another), "claimed twice");
            assert_eq!(store.read(id, OWNER).unwrap().state(), State::Canceled);
            assert!(store.extended.queue.is_empty());
        },
    );
}

#[test]
fn r9_what_is_claimed_and_given_back_can_be_claimed_again() {
    try_all_in(with_one_queued, [claim, claim, give_back], |store, id, [one, another, given_back]| {
        let claims = u32::from(one) + u32::from(another);
        let life = store.read(id, OWNER).unwrap().life;
        assert_eq!(life.attempt, claims);
        let is_queued = claims == u32::from(given_back);
        assert_eq!(life.state, if is_queued { State::Queued } else { State::Running });
        assert_eq!(store.extended.queue.is_empty(), !is_queued);
    });
}

#[test]
fn r9_what_a_lease_held_is_lost_unless_it_ended_or_was_brought_along() {
    let with_one_held = || {
        let (store, id) = with_one(Policy::new());
        store.open_lease(Duration::ZERO, vec![Attempt { operation: id, number: 1 }]);
        (store, id)
    };
    let rescue = |store: &MemoryStore, _| {
        let lapsed = store.extended.leases.take_lapsed(store.clock.now(), 1);
        thread::yield_now();
        lapsed.into_iter().any(|(lease, id)| store.lose(lease, id).is_ok())
    };
    let bring_along =
        |store: &MemoryStore, id| store.open_lease(LONG, vec![Attempt { operation: id, number: 1 }]).lost.is_empty();
    try_all_in(with_one_held, [rescue, bring_along, finish], |store, id, [lost, _, finished]| {
        assert!(lost != finished, "it ends once");
        let state = store.read(id, OWNER).unwrap().state();
        assert_eq!(state, if finished { State::Succeeded } else { State::Failed });
    });
    try_all_in(with_one_held, [rescue, bring_along], |store, id, [lost, brought]| {
        assert!(lost != brought, "it is lost, or goes on");
        assert_eq!(store.read(id, OWNER).unwrap().state(), if lost { State::Failed } else { State::Running });
    });
}
