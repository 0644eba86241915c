//! How what others write comes to be known.

use super::{
    super::watch::{LOOKS, Watch},
    *,
};
use crate::store::contract::Change;

async fn two_stores(folder: &Folder) -> (SqliteStore, SqliteStore) {
    (SqliteStore::open(folder.file()).await.unwrap(), SqliteStore::open(folder.file()).await.unwrap())
}

/// One that is told of others by the bell or not at all, with what was before already seen.
#[cfg(target_os = "linux")]
async fn listening_alone(store: &SqliteStore) -> Watch {
    let database = Arc::clone(&store.database);
    run(store, async {
        let mut watch = Watch::new(database, (LONG, LONG));
        assert!(watch.has_changed().await, "whatever was before");
        watch
    })
    .await
}

/// Waits for a change. The bell may have been rung by others before.
async fn next_change(store: &SqliteStore, mut watch: Watch) -> Watch {
    run(store, async {
        loop {
            watch.wait().await;
            if watch.has_changed().await {
                return watch;
            }
        }
    })
    .await
}

/// Where the store does what it does.
async fn run<T: Send + 'static>(store: &SqliteStore, work: impl Future<Output = T> + Send + 'static) -> T {
    store.engine.run(async { Ok(work.await) }).await.unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_commit_of_another_rings() {
    let folder = Folder::new();
    let (here, other) = two_stores(&folder).await;
    let mut watch = listening_alone(&here).await;
    let attempt = running(&other).await;
    watch = next_change(&here, watch).await;
    other.finish(attempt, Arc::new(reply(b"done"))).await.unwrap();
    watch = next_change(&here, watch).await;
    assert!(!run(&here, async move { watch.has_changed().await }).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_commit_in_a_file_that_has_taken_the_place_of_another_rings() {
    let folder = Folder::new();
    let here = SqliteStore::open(folder.file()).await.unwrap();
    let mut watch = listening_alone(&here).await;
    let copy = folder.0.join("copy.db");
    let vacuum = sqlx::query("VACUUM INTO ?").bind(copy.to_str().unwrap().to_owned());
    vacuum.execute(&mut by_hand(&folder.file()).await).await.unwrap();
    for name in ["operations.db", "operations.db-wal", "operations.db-shm"] {
        fs::remove_file(folder.0.join(name)).unwrap();
    }
    fs::rename(&copy, folder.file()).unwrap();
    watch = run(&here, async {
        assert!(watch.has_changed().await);
        watch
    })
    .await;
    running(&SqliteStore::open(folder.file()).await.unwrap()).await;
    next_change(&here, watch).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_commit_rings_beside_a_file_that_is_reached_by_a_link() {
    let folder = Folder::new();
    let other = SqliteStore::open(folder.file()).await.unwrap();
    let link = folder.0.join("link.db");
    std::os::unix::fs::symlink(folder.file(), &link).unwrap();
    let here = SqliteStore::open(link).await.unwrap();
    let watch = listening_alone(&here).await;
    running(&other).await;
    next_change(&here, watch).await;
}

#[tokio::test]
async fn without_a_bell_what_others_write_is_found_by_looking() {
    let folder = Folder::new();
    let (here, other) = two_stores(&folder).await;
    let database = Arc::clone(&here.database);
    let watch = run(&here, async {
        let mut watch = Watch::new(database, (LONG, LOOKS.1));
        assert!(watch.has_changed().await, "whatever was before");
        watch.bell = None;
        watch
    })
    .await;
    running(&other).await;
    next_change(&here, watch).await;
}

#[tokio::test]
async fn what_others_write_is_noticed_and_what_is_written_here_is_not() {
    let folder = Folder::new();
    let (here, other) = two_stores(&folder).await;
    let (changes, mut heard) = tokio::sync::mpsc::unbounded_channel();
    here.announce_to(Arc::new(move |change| _ = changes.send(change)));
    assert_eq!(heard.recv().await, Some(Change::Anything), "whatever was before");
    let before = here.database.version_of_others().await.unwrap();
    here.create(queued()).await.unwrap();
    assert_eq!(here.database.version_of_others().await.unwrap(), before);
    other.create(queued()).await.unwrap();
    assert_eq!(heard.recv().await, Some(Change::Anything));
    assert_ne!(here.database.version_of_others().await.unwrap(), before);
}

/// A connection counts only what has been written since it was there.
#[tokio::test]
async fn what_others_write_is_noticed_when_there_is_another_connection_too() {
    let folder = Folder::new();
    let (here, other) = two_stores(&folder).await;
    let connections = here.database.connections().await.unwrap();
    let version_at_another = async || {
        let another = connections.connect().await.unwrap();
        *connections.writer.lock().await = Some(another);
        here.database.version_of_others().await.unwrap().unwrap()
    };
    let before = version_at_another().await;
    other.create(queued()).await.unwrap();
    let after = version_at_another().await;
    assert_eq!(before.1, after.1, "SQLite's own number does not tell");
    assert_ne!(before, after);
}
