//! Which files are opened.

use super::{open::prepare, *};

#[tokio::test]
async fn a_file_is_opened_again_with_what_is_in_it() {
    let folder = Folder::new();
    let attempt = running(&SqliteStore::open(folder.file()).await.unwrap()).await;
    let store = SqliteStore::open(folder.file()).await.unwrap();
    assert_eq!(state(&store, attempt.operation).await, Some(State::Running));
}

#[tokio::test]
async fn many_open_a_new_file_at_once() {
    let folder = Folder::new();
    let opening: Vec<_> = (0..16).map(|_| tokio::spawn(SqliteStore::open(folder.file()))).collect();
    let mut stores = Vec::new();
    for opened in opening {
        stores.push(opened.await.unwrap().unwrap());
    }
    let attempt = running(&stores[0]).await;
    for store in &stores {
        assert_eq!(state(store, attempt.operation).await, Some(State::Running));
    }
}

#[tokio::test]
async fn what_is_promised_is_in_force() {
    let folder = Folder::new();
    for (flush, synchronous) in [(true, 2), (false, 1)] {
        let store = SqliteOptions::new().flush(flush).open(folder.file()).await.unwrap();
        let connections = store.database.connections().await.unwrap();
        let mut writer = connections.writer.lock().await;
        let found: (i64, String, i64) = sqlx::query_as(
            "SELECT synchronous, journal_mode, auto_vacuum \
             FROM pragma_synchronous, pragma_journal_mode, pragma_auto_vacuum",
        )
        .fetch_one(writer.as_mut().unwrap())
        .await
        .unwrap();
        assert_eq!(found, (synchronous, "wal".to_owned(), 2));
    }
}

#[tokio::test]
async fn what_is_not_in_force_is_named() {
    let folder = Folder::new();
    drop(SqliteStore::open(folder.file()).await.unwrap());
    let mut connection = by_hand(&folder.file()).await;
    sqlx::raw_sql("PRAGMA synchronous = OFF").execute(&mut connection).await.unwrap();
    let refused = open::audit(&mut connection, true).await.unwrap_err();
    assert_eq!(refused.to_string(), "SQLite's synchronous is 0 where it has to be 2");
}

#[tokio::test]
async fn what_is_no_file_or_not_ours_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    for name in ["", ":memory:", "file::memory:?cache=shared"] {
        assert!(matches!(SqliteStore::open(name).await, Err(OpenError::InMemory)), "{name}");
    }
    let text = "no database at all, and long enough that it cannot be taken for an empty one\n".repeat(20);
    fs::write(folder.file(), &text).unwrap();
    assert!(matches!(SqliteStore::open(folder.file()).await, Err(OpenError::Foreign)));
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);

    let other = folder.0.join("other.db");
    execute(&other, "CREATE TABLE theirs (id INTEGER)").await;
    let before = fs::read(&other).unwrap();
    assert!(matches!(SqliteStore::open(&other).await, Err(OpenError::Foreign)));
    assert_eq!(fs::read(&other).unwrap(), before);

    let missing = SqliteStore::open(folder.0.join("missing/operations.db")).await;
    assert!(matches!(missing, Err(OpenError::Sqlite(_))), "{missing:?}");
}

#[tokio::test]
async fn a_file_of_a_newer_release_is_refused() {
    let folder = Folder::new();
    drop(SqliteStore::open(folder.file()).await.unwrap());
    execute(&folder.file(), "PRAGMA user_version = 999").await;
    let refused = SqliteStore::open(folder.file()).await;
    assert!(matches!(refused, Err(OpenError::Newer { found: 999, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_to_is_refused() {
    let folder = Folder::new();
    drop(SqliteStore::open(folder.file()).await.unwrap());
    let options = SqliteConnectOptions::new().filename(folder.file()).read_only(true);
    let refused = prepare(&folder.file(), &options, false).await;
    assert!(matches!(refused, Err(OpenError::ReadOnly)), "{refused:?}");
}

#[tokio::test]
async fn space_is_given_back() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let attempt = running(&store).await;
    store.finish(attempt, reply(&vec![b'x'; 8 << 20])).await.unwrap();
    assert!(store.forget(attempt.operation, None).await.unwrap());
    let pages = async || {
        let question = "SELECT page_count FROM pragma_page_count";
        sqlx::query_scalar::<_, i64>(question).fetch_one(&mut by_hand(&folder.file()).await).await.unwrap()
    };
    let before = pages().await;
    for _ in 0..3 {
        store.sweep(100).await.unwrap();
    }
    assert!(pages().await < before / 10, "{before}");
}
