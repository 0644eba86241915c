//! R9 in every order: an operation is finished, canceled, timed out and forgotten, and read all the while. The map's
//! own locks are no scheduler's business, so each call is one step here; what happens within is left to threads that
//! race in earnest, in `tests/contract/races.rs`.

use http::{HeaderMap, StatusCode};
use shuttle::{check_dfs, thread};

use super::*;
use crate::{
    operation::{ReplyBuilder, State},
    policy::Policy,
};

const OWNER: Option<&Owner> = None;

/// A store with one operation that runs.
fn with_one(policy: Policy) -> (Arc<MemoryStore>, OperationId) {
    let limits = MemoryLimits { operations: 1, bytes: 1_000 };
    let store = MemoryStore::new(limits, Clock::new());
    let id = OperationId::random();
    store.create(NewOperation { id, owner: None, terms: Arc::new(Terms::new("default".into(), policy)) }).unwrap();
    (Arc::new(store), id)
}

fn reply() -> Reply {
    let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &HeaderMap::new(), 4).unwrap();
    reply.extend(&b"done"[..]);
    reply.build(None).unwrap()
}

/// Has each act in a thread of its own, in every order. `check` sees what was won by whom.
fn try_all<const N: usize>(
    policy: fn() -> Policy,
    acts: [fn(&MemoryStore, OperationId) -> bool; N],
    check: fn(&MemoryStore, OperationId, [bool; N]),
) {
    let every = move || {
        let (store, id) = with_one(policy());
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
    matches!(store.cancel(id, OWNER), Cancellation::Canceled(_))
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
    try_all(Policy::new, [finish, cancel, fail], |store, id, [finished, canceled, failed]| {
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
    try_all(Policy::new, [finish, cancel, is_seen_to_end_once], |_, _, _| ());
}

#[test]
fn r9_what_is_forgotten_had_ended_and_comes_back_by_nothing() {
    try_all(Policy::new, [finish, forget, forget], |store, id, [finished, one, other]| {
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
    try_all(Policy::new, [finish, forget, sweep], |store, id, _| {
        let kept = usize::from(store.read(id, OWNER).is_some());
        assert_eq!((store.count.load(Ordering::Relaxed), store.kept_bytes.load(Ordering::Relaxed)), (kept, 4 * kept));
    });
}
