//! Writes that share a commit.

use super::*;
use crate::operation::Refused;

/// Writes that wait at once share a commit, are answered each for itself, and none undoes another.
#[tokio::test]
async fn a_refusal_does_not_undo_the_others_of_its_batch() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let writes: Vec<_> = (0..300)
        .map(|number| {
            let operation = detached();
            let attempt = Attempt { operation: operation.id, number: if number % 3 == 0 { 2 } else { 1 } };
            (attempt, store.create(operation), store.finish(attempt, Arc::new(reply(b"done"))))
        })
        .collect();
    for (attempt, created, finished) in writes {
        created.await.unwrap();
        let expected = if attempt.number == 1 { State::Succeeded } else { State::Running };
        match finished.await {
            Ok(finished) => assert_eq!((finished.state, attempt.number), (State::Succeeded, 1)),
            Err(StoreError::Refused(refused)) => {
                assert_eq!((refused, attempt.number), (Refused::Superseded { latest: 1 }, 2))
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(state(&store, attempt.operation).await, Some(expected));
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.running, counts.succeeded, counts.reply_bytes), (100, 200, 800));
}

/// A write that breaks the transaction fails alone.
#[tokio::test]
async fn what_does_not_fit_on_the_disk_does_not_keep_the_rest_from_it() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let (large, small) = (running(&store).await, running(&store).await);
    fill_up(&store).await;
    let too_much = store.finish(large, Arc::new(reply(&vec![b'x'; 4 << 20])));
    let little = store.finish(small, Arc::new(reply(b"little")));
    let failed = too_much.await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    little.await.unwrap();
    assert_eq!(state(&store, small.operation).await, Some(State::Succeeded));
    assert_eq!(state(&store, large.operation).await, Some(State::Running));
    store.finish(large, Arc::new(reply(&vec![b'x'; 4 << 20]))).await.unwrap();
}

/// A megabyte is left, until the connection is given up.
async fn fill_up(store: &SqliteStore) {
    let connections = store.database.connections().await.unwrap();
    let mut writer = connections.writer.lock().await;
    sqlx::raw_sql("PRAGMA max_page_count = 256").execute(writer.as_mut().unwrap()).await.unwrap();
}

#[tokio::test]
async fn r7_no_more_is_kept_than_may_be() {
    let folder = Folder::new();
    let options = SqliteOptions::new().max_kept_operations(3).max_kept_bytes(1_000);
    let store = options.open(folder.file()).await.unwrap();
    let (one, two) = (running(&store).await, running(&store).await);
    let finished = store.finish(one, Arc::new(reply(&[b'x'; 1_001]))).await.unwrap();
    assert_eq!(finished.failure, Some(Failure::ReplyTooLarge));
    store.finish(two, Arc::new(reply(&[b'x'; 900]))).await.unwrap();
    assert!(matches!(store.create(detached()).await, Err(StoreError::Full)), "no room for its reply");
    assert!(store.forget(two.operation, None).await.unwrap());
    for _ in 0..2 {
        running(&store).await;
    }
    assert!(matches!(store.create(detached()).await, Err(StoreError::Full)), "three are kept");
}

/// What takes long to forget lets others write in between.
#[tokio::test]
async fn a_sweep_is_bounded_by_bytes_too() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    for _ in 0..3 {
        let operation = NewOperation { terms: terms(Policy::new().retention(Duration::ZERO)), ..detached() };
        let attempt = Attempt { operation: operation.id, number: 1 };
        store.create(operation).await.unwrap();
        store.finish(attempt, Arc::new(reply(&vec![b'x'; 40 << 20]))).await.unwrap();
    }
    let (first, second) = (store.sweep(100).await.unwrap(), store.sweep(100).await.unwrap());
    assert_eq!((first.expired.len(), first.more), (2, true));
    assert_eq!((second.expired.len(), second.more), (1, false));
}

#[tokio::test]
async fn large_replies_come_back_whole() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let body: Vec<u8> = (0..128_u32 << 20).map(|number| (number.wrapping_mul(7) >> 3) as u8).collect();
    let attempt = running(&store).await;
    store.finish(attempt, Arc::new(reply(&body))).await.unwrap();
    let kept = store.read(attempt.operation, None, Part::Reply).await.unwrap().unwrap();
    assert!(kept.end.unwrap().reply.body() == body);
    let status = store.read(attempt.operation, None, Part::Status).await.unwrap().unwrap();
    assert_eq!(status.end.unwrap().reply, Reply::head(Ending::Replied, Some(StatusCode::OK)));
}
