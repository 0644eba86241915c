//! Files that go away and come back.

use super::*;

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_file_that_is_gone_is_unavailable_until_it_is_back() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let attempt = running(&store).await;
    let aside = folder.0.join("aside.db");
    fs::rename(folder.file(), &aside).unwrap();
    for _ in 0..2 {
        assert!(is_unavailable(&store.create(detached()).await));
        assert!(is_unavailable(&store.read(attempt.operation, None, Part::Status).await));
    }
    assert!(!folder.file().exists(), "an empty file in its place would know nothing");
    fs::rename(&aside, folder.file()).unwrap();
    assert_eq!(state(&store, attempt.operation).await, Some(State::Running));
    store.finish(attempt, Arc::new(reply(b"done"))).await.unwrap();
}

#[tokio::test]
async fn a_copy_in_the_place_of_the_file_is_used_from_then_on() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let attempt = running(&store).await;
    let copy = folder.0.join("copy.db");
    let vacuum = sqlx::query("VACUUM INTO ?").bind(copy.to_str().unwrap().to_owned());
    vacuum.execute(&mut by_hand(&folder.file()).await).await.unwrap();
    let later = running(&store).await;
    for name in ["operations.db", "operations.db-wal", "operations.db-shm"] {
        fs::remove_file(folder.0.join(name)).unwrap();
    }
    assert!(is_unavailable(&store.finish(attempt, Arc::new(reply(b"lost"))).await));
    fs::rename(&copy, folder.file()).unwrap();
    assert_eq!(state(&store, attempt.operation).await, Some(State::Running));
    assert_eq!(state(&store, later.operation).await, None);
    store.finish(attempt, Arc::new(reply(b"done"))).await.unwrap();
}

#[tokio::test]
async fn a_file_that_others_keep_locked_is_unavailable_until_they_let_go() {
    let folder = Folder::new();
    let store = SqliteOptions::new().patience(Duration::from_millis(50)).open(folder.file()).await.unwrap();
    let attempt = running(&store).await;
    let mut other = by_hand(&folder.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let together = [store.create(detached()), store.create(detached())];
    for created in together {
        assert!(is_unavailable(&created.await));
    }
    assert_eq!(state(&store, attempt.operation).await, Some(State::Running), "who reads does not wait");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.finish(attempt, Arc::new(reply(b"done"))).await.unwrap();
}

#[tokio::test]
async fn a_sweep_that_waited_for_the_file_does_not_end_what_waited_as_long_to_be_heard_of() {
    const LEASE: Duration = Duration::from_secs(1);
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let lease = store.open_lease(LEASE, Vec::new()).await.unwrap().id;
    let operation = NewOperation { lease: Some(lease), ..detached() };
    let attempt = Attempt { operation: operation.id, number: 1 };
    store.create(operation).await.unwrap();

    let mut other = by_hand(&folder.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let sweep = tokio::spawn(store.sweep(100));
    tokio::time::sleep(LEASE).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(sweep.await.unwrap().unwrap().ended.is_empty());
    assert!(store.open_lease(LEASE, vec![attempt]).await.unwrap().lost.is_empty());
    tokio::time::sleep(LEASE * 3 / 2).await;
    assert_eq!(store.sweep(100).await.unwrap().ended.len(), 1, "a sweep that waited for nothing ends it");
}
