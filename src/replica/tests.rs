//! A replica before a store that does not always do as it is told.

mod creation;
mod faulty;
mod withdrawals;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::*;
use crate::{
    operation::{Owner, ReplyBuilder, StoredRequest},
    policy::{Policy, Terms},
    store::{ListFilter, NewOperation, Part},
};
use faulty::{Asked, Faulty, Leases};

fn start(
    max_waiting_bytes: usize,
    fault: impl Fn(&Reply) -> Option<StoreError> + Send + Sync + 'static,
) -> (Replica, UnboundedReceiver<Event>) {
    start_with(max_waiting_bytes, Faulty::at_ends(fault))
}

fn start_with(max_waiting_bytes: usize, store: Faulty) -> (Replica, UnboundedReceiver<Event>) {
    let (tell, told) = mpsc::unbounded_channel();
    let store = Arc::new(store);
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
        lease: replica.lease().await.as_deref().copied(),
    };
    assert!(replica.expect(attempt, Durability::of(durable, &operation.terms)));
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

/// What has not come by then will not.
const PATIENCE: Duration = Duration::from_secs(30);

/// A replica whose beats can be counted, as can the leases it takes, once it has got over the first beat.
async fn beating() -> (Replica, watch::Receiver<usize>, watch::Sender<Leases>) {
    let faulty = Faulty::at_ends(|_| None);
    let (renewals, leases) = (faulty.renewals.subscribe(), faulty.leases.clone());
    let (replica, _told) = start_with(100, faulty);
    until(&leases, |leases| leases.closed.len() == 1).await;
    leases.send_replace(Leases::default());
    (replica, renewals, leases)
}

/// Waits for so many more heartbeats.
async fn beats(renewals: &mut watch::Receiver<usize>, more: usize) {
    let enough = *renewals.borrow() + more;
    timeout(PATIENCE, renewals.wait_for(|renewals| *renewals >= enough)).await.unwrap().map(drop).unwrap();
}

async fn until(leases: &watch::Sender<Leases>, come: impl FnMut(&Leases) -> bool) {
    timeout(PATIENCE, leases.subscribe().wait_for(come)).await.unwrap().map(drop).unwrap();
}

async fn state(replica: &Replica, attempt: Attempt) -> State {
    replica.store().read(attempt.operation, None, Part::Status).await.unwrap().unwrap().state()
}

#[tokio::test]
async fn after_a_heartbeat_that_failed_nothing_is_held_but_what_is_known_to_run() {
    let faulty = Faulty::at_ends(|_| None);
    let leases = faulty.leases.clone();
    let (replica, mut told) = start_with(100, faulty);
    let runs = run(&replica, false).await;
    // As of a store that has lost its end.
    let terms = Arc::new(Terms::new("/renders".into(), Policy::new()));
    let lease = replica.lease().await.as_deref().copied();
    let came_back = NewOperation { lease, ..NewOperation::new(OperationId::random(), terms) };
    let id = came_back.id;
    replica.store().create(came_back).await.unwrap();

    assert_eq!(ended(&mut told).await, (id, State::Failed, Some(Failure::Lost)));
    assert_eq!(leases.borrow().closed, [lease.unwrap()]);
    assert_eq!(state(&replica, runs).await, State::Running);
}

#[tokio::test]
async fn a_lease_in_doubt_is_kept_until_there_is_another() {
    let (replica, mut renewals, leases) = beating().await;
    let attempt = run(&replica, false).await;
    leases.send_modify(|leases| leases.are_denied = true);
    let lease = replica.lease().await.unwrap();
    replica.doubt();
    // Longer than it holds.
    beats(&mut renewals, 3 * BEATS as usize).await;
    assert_eq!(replica.lease().await.unwrap(), lease);
    assert_eq!(state(&replica, attempt).await, State::Running);
    drop(lease);
    leases.send_modify(|leases| leases.are_denied = false);
    until(&leases, |leases| !leases.closed.is_empty()).await;
    assert_eq!(state(&replica, attempt).await, State::Running);
}

#[tokio::test]
async fn a_lease_is_not_given_up_while_something_is_created_under_it() {
    let (replica, mut renewals, leases) = beating().await;
    let former = replica.lease().await.unwrap();
    replica.doubt();
    until(&leases, |leases| leases.opened == 1).await;
    beats(&mut renewals, 2).await;
    let closed = leases.borrow().closed.clone();
    assert_eq!(closed, []);
    let id = *former;
    drop(former);
    until(&leases, |leases| leases.closed == [id]).await;
}

#[tokio::test]
async fn a_store_that_panics_at_an_end_is_told_again() {
    let down = times(2, away);
    let (replica, mut told) = start(100, move |reply| {
        assert!(down(reply).is_none(), "in a store");
        None
    });
    for _ in 0..2 {
        let attempt = run(&replica, false).await;
        replica.end(attempt, reply());
        assert_eq!(ended(&mut told).await, (attempt.operation, State::Succeeded, None));
    }
}

#[tokio::test]
async fn what_a_store_panics_at_each_time_ends_with_the_lease() {
    let (replica, mut told) = start(100, |_| panic!("in a store"));
    let attempt = run(&replica, false).await;
    replica.end(attempt, reply());
    assert!(matches!(told.recv().await, Some(Event::Changed(id)) if id == attempt.operation));
    assert_eq!(replica.0.runs.number(), 0);
    assert_eq!(ended(&mut told).await, (attempt.operation, State::Failed, Some(Failure::Lost)));
}

#[tokio::test]
async fn who_panics_when_it_is_told_of_an_end_keeps_nothing_running() {
    let observer = Arc::new(|event: Event| assert!(!matches!(event, Event::Ended { .. }), "in an observer"));
    let settings = ReplicaSettings { lease: Duration::from_secs(1), max_waiting_bytes: 100 };
    let replica = Replica::start(Arc::new(Faulty::at_ends(|_| None)), settings, observer).unwrap();
    for _ in 0..2 {
        let attempt = run(&replica, false).await;
        replica.end(attempt, reply());
    }
    replica.close();
    replica.ended().await;
    assert_eq!(replica.0.runs.number(), 0);
}

/// What comes of whatever the hub can ask a store for.
async fn answers(replica: &Replica) -> Vec<Result<(), StoreError>> {
    let id = OperationId::random();
    let new = NewOperation::new(id, Arc::new(Terms::new("/renders".into(), Policy::new())));
    let answers = vec![
        replica.read(id, None, Part::Status).await.map(drop),
        replica.read(id, None, Part::Reply).await.map(drop),
        replica.list(&Owner::new("ann"), ListFilter::default(), 1).await.map(drop),
        replica.create(new).await.map(drop),
        replica.cancel(id, None).await.map(drop),
        replica.forget(id, None).await.map(drop),
    ];
    #[cfg(feature = "durable")]
    let answers = answers.into_iter().chain([replica.claim(LeaseId::NONE, 1).await.map(drop)]).collect();
    answers
}

fn assert_unavailable(answers: &[Result<(), StoreError>]) {
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_store_that_never_answers() {
    let (replica, _told) = start_with(100, Faulty::when_asked(Asked::Never));
    assert_unavailable(&answers(&replica).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_cannot_be_reached() {
    for asked in [Asked::PanicsAtOnce, Asked::PanicsLater] {
        let (replica, _told) = start_with(100, Faulty::when_asked(asked));
        assert_unavailable(&answers(&replica).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_take_longer_while_the_store_answers_otherwise() {
    let (replica, _told) = start_with(100, Faulty::when_asked(Asked::RepliesAfter(Duration::from_secs(30))));
    assert!(replica.read(OperationId::random(), None, Part::Reply).await.unwrap().is_none());
    let (replica, _told) = start_with(100, Faulty::when_asked(Asked::RepliesAfter(Duration::from_secs(3_600))));
    assert_unavailable(&[replica.read(OperationId::random(), None, Part::Reply).await.map(drop)]);
}
