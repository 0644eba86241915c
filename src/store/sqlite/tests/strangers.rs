//! Operations that another release has written, so that this one cannot read them.

use super::*;

const SOON: Duration = Duration::from_millis(1);

/// Some that are due, of which every other cannot be read.
async fn every_other(store: &SqliteStore, folder: &Folder, operation: impl Fn() -> NewOperation) -> Vec<OperationId> {
    let mut ids = Vec::new();
    for _ in 0..10 {
        let operation = operation();
        ids.push(operation.id);
        store.create(operation).await.unwrap();
    }
    execute(&folder.file(), "UPDATE operations SET terms = x'ff' WHERE number % 2 = 1").await;
    ids
}

async fn sweep_all(store: &SqliteStore) -> Swept {
    let mut all = Swept::default();
    for _ in 0..100 {
        let swept = store.sweep(1).await.unwrap();
        all.ended.extend(swept.ended);
        all.queued.extend(swept.queued);
        all.expired.extend(swept.expired);
        if !swept.more {
            break;
        }
    }
    all
}

#[tokio::test]
async fn only_the_operation_itself_is_unreadable() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let owner = Owner::new("ada");
    let ids = every_other(&store, &folder, || NewOperation { owner: Some(owner.clone()), ..detached() }).await;
    for (place, id) in ids.iter().enumerate() {
        let attempt = Attempt { operation: *id, number: 1 };
        let read = store.read(*id, Some(&owner), Part::Status).await;
        let finished = store.finish(attempt, reply(b"done")).await;
        match place % 2 {
            0 => assert!(matches!((read, finished), (Err(StoreError::Unreadable(_)), Err(StoreError::Unreadable(_))))),
            _ => assert!(read.unwrap().is_some() && finished.unwrap().state == State::Succeeded),
        }
    }
    assert_eq!(store.list(&owner, ListFilter::default(), 100).await.unwrap().operations.len(), 5);
}

#[tokio::test]
async fn a_sweep_goes_on_beyond_what_it_cannot_read() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let brief = || NewOperation { terms: terms(Policy::new().max_run_time(Duration::ZERO)), ..detached() };
    let overdue = every_other(&store, &folder, brief).await;
    let ended: Vec<_> = sweep_all(&store).await.ended.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ended, overdue.into_iter().skip(1).step_by(2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lost_attempt_that_cannot_be_read_does_not_hold_up_the_others() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    let lost = every_other(&store, &folder, || NewOperation { lease: Some(lease), ..queued() }).await;
    store.close_lease(lease).await.unwrap();
    assert_eq!(sweep_all(&store).await.queued, lost.into_iter().skip(1).step_by(2).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_read_is_forgotten_in_time() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let brief = || NewOperation { terms: terms(Policy::new().retention(SOON)), ..queued() };
    let (one, other) = (brief(), brief());
    let ids = [one.id, other.id];
    for operation in [one, other] {
        let id = operation.id;
        store.create(operation).await.unwrap();
        store.cancel(id, None).await.unwrap();
    }
    execute(&folder.file(), "UPDATE operations SET terms = x'ff', due = created").await;
    let mut expired = sweep_all(&store).await.expired;
    expired.sort();
    let mut ids = ids.to_vec();
    ids.sort();
    assert_eq!(expired, ids);
}

#[tokio::test]
async fn claims_go_past_what_cannot_be_read() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    let ids = every_other(&store, &folder, queued).await;
    let mut claimed = Vec::new();
    for _ in 0..5 {
        claimed.extend(store.claim(lease, 1).await.unwrap().iter().map(|claimed| claimed.attempt.operation));
    }
    assert_eq!(claimed, ids.into_iter().skip(1).step_by(2).collect::<Vec<_>>());
    assert_eq!(store.claim(lease, 1).await.unwrap().len(), 0);
}
