//! Several processes and one file: this test as a child of itself.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;

/// Where a child finds the file; without it, it is no child.
const FILE: &str = "RESPOND_ASYNC_TEST_FILE";

/// This process again, with only this test.
fn child(test: &str, file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("store::sqlite::tests::processes::{test}"), "--exact", "--ignored", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What a child says, word by word, each after the mark.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| Some(line.split_once("said: ")?.1.to_owned()))
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_process_that_is_killed() {
    let folder = Folder::new();
    let mut acknowledged = BTreeSet::new();
    for round in 1..=5 {
        let mut writing = child("writes_until_it_is_killed", &folder.file());
        let mut words = said(&mut writing);
        acknowledged.extend(words.by_ref().take(round * 100));
        writing.kill().unwrap();
        // What it said before it died counts as well. A word cut short is none.
        acknowledged.extend(words.filter(|word| word.len() == 36));
        writing.wait().unwrap();

        let store = SqliteStore::open(folder.file()).await.unwrap();
        for word in &acknowledged {
            let id = word.parse().unwrap();
            let kept = store.read(id, None, Part::Reply).await.unwrap();
            let kept = kept.unwrap_or_else(|| panic!("{word} is lost")).end.unwrap();
            assert_eq!(kept.reply.body(), word.as_bytes());
        }
        let counts = store.counts().await.unwrap();
        assert!(counts.succeeded >= acknowledged.len() as u64, "{counts:?}");
        let check: String =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut by_hand(&folder.file()).await).await.unwrap();
        assert_eq!(check, "ok");
    }
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn writes_until_it_is_killed() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = Arc::new(SqliteStore::open(file).await.unwrap());
    let writing = (0..32).map(|_| tokio::spawn(write_on(Arc::clone(&store))));
    for writer in writing.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

async fn write_on(store: Arc<SqliteStore>) {
    loop {
        let attempt = running(&store).await;
        store.finish(attempt, Arc::new(reply(attempt.operation.to_string().as_bytes()))).await.unwrap();
        println!("said: {}", attempt.operation);
    }
}

#[tokio::test]
async fn processes_that_share_a_file_claim_each_operation_once() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.file()).await.unwrap();
    let mut workers: Vec<_> = (0..2).map(|_| child("claims_what_there_is", &folder.file())).collect();
    let mut created = BTreeSet::new();
    for _ in 0..200 {
        let operation = queued();
        created.insert(operation.id.to_string());
        store.create(operation).await.unwrap();
    }
    let mut claimed = Vec::new();
    for worker in &mut workers {
        claimed.extend(said(worker));
        assert!(worker.wait().unwrap().success());
    }
    assert_eq!(claimed.len(), created.len());
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), created);
    assert_eq!(store.counts().await.unwrap().succeeded, 200);
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn claims_what_there_is() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = SqliteStore::open(file).await.unwrap();
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    while store.counts().await.unwrap().succeeded < 200 {
        for claimed in store.claim(lease, 3).await.unwrap() {
            println!("said: {}", claimed.attempt.operation);
            store.finish(claimed.attempt, Arc::new(reply(b"done"))).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
}
