//! A replica before a store that does not always do as it is told.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::*;
use crate::{
    operation::{ReplyBuilder, StoredRequest},
    policy::{Policy, Terms},
    store::{
        Cancellation, Claimed, Counts, ListFilter, Listed, Listener, MemoryStore, NewOperation, OpenLease, Part,
        Snapshot, Swept,
    },
};

type Fault = Box<dyn Fn(&Reply) -> Option<StoreError> + Send + Sync>;

/// Fails when it is told of an end, and panics at its first renewal.
struct Faulty {
    store: Arc<dyn Store>,
    fault: Fault,
    renewed: AtomicBool,
}

impl Store for Faulty {
    fn create(&self, operation: NewOperation) -> StoreFuture<crate::store::Created> {
        self.store.create(operation)
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        self.store.read(id, owner, part)
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        match (self.fault)(&reply) {
            Some(error) => StoreFuture::ready(Err(error)),
            None => self.store.finish(attempt, reply),
        }
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        self.store.cancel(id, owner)
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        self.store.forget(id, owner)
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        self.store.list(owner, filter, limit)
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.store.report(attempt, report)
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        self.store.open_lease(length, running)
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        assert!(self.renewed.swap(true, SeqCst), "the first renewal");
        self.store.renew(lease, running)
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.store.close_lease(lease)
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        self.store.claim(lease, limit)
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.store.retry(attempt, failure)
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.store.hand_back(attempt)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        self.store.sweep(limit)
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.store.counts()
    }

    fn announce_to(&self, listener: Listener) {
        // So that only the replica itself is heard.
        drop(listener);
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(formatter)
    }
}

fn start(
    max_waiting_bytes: usize,
    fault: impl Fn(&Reply) -> Option<StoreError> + Send + Sync + 'static,
) -> (Replica, UnboundedReceiver<Event>) {
    let (tell, told) = mpsc::unbounded_channel();
    let store = Arc::new(Faulty {
        store: Arc::new(MemoryStore::new()),
        fault: Box::new(fault),
        renewed: AtomicBool::new(false),
    });
    let settings = ReplicaSettings { lease: Duration::from_secs(1), max_waiting_bytes };
    let observer = Arc::new(move |event| drop(tell.send(event)));
    (Replica::start(store, settings, observer).unwrap(), told)
}

async fn run(replica: &Replica, durable: bool) -> Attempt {
    let attempt = Attempt { operation: OperationId::random(), number: 1 };
    let request =
        StoredRequest::new(Method::POST, Uri::from_static("/renders"), HeaderMap::new(), Bytes::from_static(b"body"));
    let operation = NewOperation {
        id: attempt.operation,
        owner: None,
        terms: Arc::new(Terms::new("/renders".into(), Policy::new())),
        key: None,
        request: durable.then_some(request),
        lease: replica.lease().await,
    };
    replica.expect(attempt, durable);
    replica.store().create(operation).await.unwrap();
    replica.stored(attempt);
    attempt
}

fn reply() -> Reply {
    let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::OK, &HeaderMap::new(), 60).unwrap();
    reply.extend(&[b'-'; 60][..]);
    reply.build(None).unwrap()
}

async fn ended(told: &mut UnboundedReceiver<Event>) -> (OperationId, State, Option<Failure>) {
    match told.recv().await {
        Some(Event::Ended { id, finished, .. }) => (id, finished.state, finished.failure),
        told => panic!("not of an end: {told:?}"),
    }
}

fn times(number: usize, error: fn() -> StoreError) -> impl Fn(&Reply) -> Option<StoreError> {
    let left = AtomicUsize::new(number);
    let down = move || left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
    move |_| down().then(error)
}

fn away() -> StoreError {
    StoreError::Unavailable("away".into())
}

#[tokio::test]
async fn a_store_that_is_full_is_told_again() {
    let (replica, mut told) = start(100, times(3, || StoreError::Full));
    let attempt = run(&replica, false).await;
    replica.end(attempt, reply());
    assert_eq!(ended(&mut told).await, (attempt.operation, State::Succeeded, None));
}

#[tokio::test]
async fn a_reply_that_the_store_does_not_take_is_lost_and_its_operation_ends() {
    let (replica, mut told) = start(100, |reply| (reply.size() > 0).then_some(StoreError::Unsupported("replies")));
    let attempt = run(&replica, false).await;
    replica.end(attempt, reply());
    assert_eq!(ended(&mut told).await, (attempt.operation, State::Failed, Some(Failure::Lost)));
}

#[tokio::test]
async fn replies_need_no_room_while_the_store_takes_them() {
    let (replica, mut told) = start(1, |_| None);
    for durable in [false, true, false] {
        let attempt = run(&replica, durable).await;
        replica.end(attempt, reply());
        assert_eq!(ended(&mut told).await, (attempt.operation, State::Succeeded, None));
    }
}

#[tokio::test]
async fn only_what_cannot_run_again_is_lost_for_want_of_room() {
    let (replica, mut told) = start(59, times(1, away));
    let attempt = run(&replica, false).await;
    replica.end(attempt, reply());
    assert_eq!(ended(&mut told).await, (attempt.operation, State::Failed, Some(Failure::Lost)));

    let (replica, mut told) = start(59, times(1, away));
    let attempt = run(&replica, true).await;
    replica.end(attempt, reply());
    assert!(matches!(told.recv().await, Some(Event::Changed(id)) if id == attempt.operation));
    let found = replica.store().read(attempt.operation, None, Part::Status).await.unwrap().unwrap();
    assert_eq!((found.state(), found.life.failures), (State::Queued, 0));
}

#[tokio::test]
async fn what_could_not_be_stopped_is_interrupted_by_the_end() {
    let (replica, mut told) = start(100, |_| None);
    let (bare, durable) = (run(&replica, false).await, run(&replica, true).await);
    replica.close();
    replica.ended().await;
    let read =
        async |attempt: Attempt| replica.store().read(attempt.operation, None, Part::Status).await.unwrap().unwrap();
    assert_eq!(read(bare).await.state(), State::Failed);
    assert_eq!(read(durable).await.state(), State::Queued);
    assert!(told.recv().await.is_some());
    // What comes later has nothing to say.
    replica.end(bare, reply());
}

#[tokio::test]
async fn a_panic_of_the_store_costs_a_lease_and_no_more() {
    let (replica, _told) = start(100, |_| None);
    let attempt = run(&replica, false).await;
    let first = replica.lease().await;
    replica.0.lease.subscribe().wait_for(|lease| *lease != first).await.unwrap();
    replica.store().close_lease(first.unwrap()).await.unwrap();
    assert_eq!(replica.store().sweep(10).await.unwrap().ended.len(), 0);
    let found = replica.store().read(attempt.operation, None, Part::Status).await.unwrap().unwrap();
    assert_eq!(found.state(), State::Running);
}
