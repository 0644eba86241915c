//! The store in one SQLite file. What is special about it is tested where it is.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tower_respond_async::store::{
    conformance::{self, Replicas, Violations},
    sqlite::SqliteStore,
};

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("respond-async-stores-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn keeps_the_contract() -> Result<(), Violations> {
    let (folder, files) = (Folder::new(), AtomicU32::new(0));
    conformance::run(async || {
        let file = folder.0.join(format!("{}.db", files.fetch_add(1, Ordering::Relaxed)));
        let open = async || Arc::new(SqliteStore::open(&file).await.unwrap());
        Replicas::new(open().await, open().await)
    })
    .await
}
