//! What the store does while its server is away or waits, and after.

use super::*;

#[tokio::test]
async fn a_crash_of_the_server_leaves_what_was_kept_and_the_store_recovers() {
    let server = Server::start();
    let builder = builder(server.options(), &server).patience(Duration::from_secs(2));
    builder.migrate().await.unwrap();
    let store = Arc::new(builder.connect().await.unwrap());
    let mut creating = tokio::task::JoinSet::new();
    let (created, mut some) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..20 {
        let (store, created) = (Arc::clone(&store), created.clone());
        creating.spawn(async move {
            let mut kept = Vec::new();
            loop {
                let operation = operation("somebody", 100);
                let id = operation.id;
                match store.create(operation).await {
                    Ok(_) => kept.push(id),
                    Err(StoreError::Unavailable(_)) => break kept,
                    Err(other) => panic!("{other}"),
                }
                created.send(()).unwrap();
            }
        });
    }
    for _ in 0..100 {
        some.recv().await.unwrap();
    }
    server.control("stop");
    let kept = creating.join_all().await.concat();
    let owner = Owner::new("somebody");
    assert!(matches!(store.counts().await, Err(StoreError::Unavailable(_))));
    server.control("start");
    let back = tokio::time::Instant::now();
    while store.create(operation("somebody", 1)).await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(5));
    }
    for id in kept {
        assert!(store.read(id, Some(&owner), Part::Status).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_sweep_that_waited_for_others_ends_nothing_that_waited_as_long_to_be_heard_of() {
    const LEASE: Duration = Duration::from_secs(1);
    let server = Server::start();
    let store = store(&server).await;
    let lease = store.open_lease(LEASE, Vec::new()).await.unwrap().id;
    let operation = NewOperation { lease: Some(lease), ..operation("somebody", 1) };
    let attempt = Attempt { operation: operation.id, number: 1 };
    store.create(operation).await.unwrap();

    let mut other = server.options().connect().await.unwrap();
    let lock = format!("BEGIN; LOCK TABLE {}leases IN ACCESS EXCLUSIVE MODE", store.shared.database.prefix);
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.unwrap();
    let sweep = tokio::spawn(store.sweep(100));
    tokio::time::sleep(LEASE * 3 / 2).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let swept = sweep.await.unwrap().unwrap();
    assert!(swept.ended.is_empty() && swept.queued.is_empty(), "{swept:?}");
    assert!(store.open_lease(LEASE, vec![attempt]).await.unwrap().lost.is_empty());
    tokio::time::sleep(LEASE * 3 / 2).await;
    let swept = store.sweep(100).await.unwrap();
    assert_eq!((swept.ended.len(), swept.queued.len()), (0, 1), "a sweep that waited for nothing has it tried again");
}

#[tokio::test]
async fn changes_are_announced_to_other_stores_and_again_after_the_server_was_away() {
    let server = Server::start();
    let builder = builder(server.options(), &server);
    builder.migrate().await.unwrap();
    let (one, another) = (builder.clone().connect().await.unwrap(), builder.connect().await.unwrap());
    let (changes, mut heard) = tokio::sync::mpsc::unbounded_channel();
    another.announce_to(Arc::new(move |change| _ = changes.send(change)));
    for _ in 0..2 {
        assert_eq!(heard.recv().await, Some(Change::Anything));
        let operation = operation("somebody", 0);
        let (id, owner) = (operation.id, operation.owner.clone());
        one.create(operation).await.unwrap();
        one.cancel(id, owner.as_ref()).await.unwrap();
        let told = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
        assert!(told.contains(&Change::Queued) && told.contains(&Change::Operation(id)), "{told:?}");
        server.control("restart");
        while one.counts().await.is_err() {}
    }
}

#[tokio::test]
async fn heartbeats_wait_behind_nothing_else() {
    let server = Server::start();
    let builder = builder(server.options(), &server).connections(1);
    builder.migrate().await.unwrap();
    let store = builder.connect().await.unwrap();
    let lease = store.open_lease(Duration::from_secs(60), Vec::new()).await.unwrap().id;

    let mut other = server.options().connect().await.unwrap();
    let lock = format!("BEGIN; LOCK TABLE {}ended IN ACCESS EXCLUSIVE MODE", store.shared.database.prefix);
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.unwrap();
    let reading = tokio::spawn(store.read(OperationId::random(), None, Part::Status));
    while server.sql("SELECT count(*)::text FROM pg_locks WHERE NOT granted").await == "0" {}
    assert_eq!(store.renew(lease, Vec::new()).await.unwrap(), []);
    assert!(!reading.is_finished());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(reading.await.unwrap().unwrap().is_none());
}

/// Whoever notifies on the server waits for those who did before, and they may have to wait for more than the disk.
#[tokio::test]
async fn what_is_accepted_does_not_wait_for_others_who_notify() {
    let server = Server::start();
    let options = server.options().options([("synchronous_commit", "local")]);
    let builder = builder(options, &server);
    builder.migrate().await.unwrap();
    let store = builder.connect().await.unwrap();
    store.create(operation("somebody", 0)).await.unwrap();
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    server.sql("SELECT pg_reload_conf()::text").await;

    let mut other = server.options().connect().await.unwrap();
    let notifying = tokio::spawn(async move {
        sqlx::raw_sql("CREATE TABLE others (); NOTIFY others").execute(&mut other).await.map(drop)
    });
    while server.sql("SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await == "0" {}
    store.create(operation("somebody", 0)).await.unwrap();
    assert_eq!(store.counts().await.unwrap().queued, 2);
    assert!(!notifying.is_finished());
    notifying.abort();
}

#[tokio::test]
async fn a_cut_connection_costs_no_reader_an_answer() {
    let server = Server::start();
    let store = store(&server).await;
    for _ in 0..3 {
        let operation = operation("somebody", 0);
        let (id, owner) = (operation.id, operation.owner.clone());
        while store.create(operation.clone()).await.is_err() {}
        let cut = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity \
            WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        server.sql(cut).await;
        assert!(store.read(id, owner.as_ref(), Part::Status).await.unwrap().is_some());
    }
}
