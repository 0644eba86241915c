//! What the store does while its server is away, and after.

use super::*;

#[tokio::test]
async fn what_was_answered_survives_that_the_server_is_killed() {
    let mut server = Server::start(&[]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    let running = create(&store, operation()).await;
    let queued = durable(Bytes::from_static(b"\0\xff"));
    let id = queued.id;
    create(&store, queued).await;

    server.kill();
    let down = store.read(id, None, Part::Status).await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    let down = store.finish(running, Arc::new(reply(b"lost"))).await;
    assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
    server.restart();

    let finished = loop {
        match store.finish(running, Arc::new(reply(b"kept"))).await {
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            finished => break finished,
        }
    };
    assert_eq!(finished.unwrap().state, State::Succeeded);
    let claimed = store.claim(lease, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].attempt, Attempt { operation: id, number: 1 });
    assert_eq!(claimed[0].request, request(Bytes::from_static(b"\0\xff")));
}

#[tokio::test]
async fn a_server_that_is_silent_is_unavailable_within_the_patience() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", silent.local_addr().unwrap());
    let opened = RedisStore::builder(url).patience(Duration::from_millis(50)).open().await;
    assert!(matches!(opened, Err(RedisOpenError::Unavailable(StoreError::Unavailable(_)))), "{opened:?}");
}

/// However many batches wait, they are not given up one after the other.
#[tokio::test]
async fn what_waits_for_a_silent_server_is_given_up_together() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let server = Server::start(&[]);
    let store = RedisStore::builder(server.url()).patience(PATIENCE).open().await.unwrap();
    server.stop();
    let started = std::time::Instant::now();
    let waiting: Vec<_> = (0..128 * 20).map(|_| store.create(operation())).collect();
    for one in waiting {
        assert!(matches!(one.await, Err(StoreError::Unavailable(_))));
    }
    assert!(started.elapsed() < PATIENCE * 10, "{:?}", started.elapsed());
    server.resume();
    while store.counts().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_stood_still_ends_nothing_that_waited_as_long_to_be_heard_of() {
    const LEASE: Duration = Duration::from_secs(1);
    let server = Server::start(&[]);
    let store = open(&server).await;
    let lease = store.open_lease(LEASE, Vec::new()).await.unwrap().id;
    let attempt = create(&store, NewOperation { lease: Some(lease), ..operation() }).await;

    server.stop();
    let sweep = tokio::spawn(store.sweep(100));
    tokio::time::sleep(LEASE * 3 / 2).await;
    server.resume();
    assert!(sweep.await.unwrap().unwrap().ended.is_empty());
    assert!(store.open_lease(LEASE, vec![attempt]).await.unwrap().lost.is_empty());
    tokio::time::sleep(LEASE * 3 / 2).await;
    assert_eq!(store.sweep(100).await.unwrap().ended.len(), 1, "a server that answers promptly ends it");
}

#[tokio::test]
async fn scripts_are_given_to_a_server_that_has_forgotten_them() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let running = create(&store, operation()).await;
    let _: String = ask(&store, &["SCRIPT", "FLUSH"]).await;
    store.finish(running, Arc::new(reply(b""))).await.unwrap();
    let _: String = ask(&store, &["SCRIPT", "FLUSH"]).await;
    assert!(store.read(running.operation, None, Part::Reply).await.unwrap().unwrap().end.is_some());
}

#[tokio::test]
async fn what_was_claimed_by_an_answer_that_never_came_is_given_back() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    let queued = durable(large(50_000));
    let id = queued.id;
    create(&store, queued).await;
    // The claim is done, and what it claimed cannot be read.
    let (pieces, aside) = ("{respond-async}:pieces", "{respond-async}:aside");
    let _: String = ask(&store, &["RENAME", pieces, aside]).await;
    let _: i64 = ask(&store, &["LPUSH", pieces, "not what it should be"]).await;
    let broken = store.claim(lease, 1).await;
    assert!(matches!(broken, Err(StoreError::Unavailable(_))), "{broken:?}");
    let _: String = ask(&store, &["RENAME", aside, pieces]).await;
    let again = loop {
        if let Some(again) = store.claim(lease, 1).await.unwrap().pop() {
            break again;
        }
    };
    assert_eq!(again.attempt, Attempt { operation: id, number: 2 });
    let found = store.read(id, None, Part::Status).await.unwrap().unwrap();
    assert_eq!(found.life, Life { state: State::Running, attempt: 2, failures: 0 });
}

#[tokio::test]
async fn a_listener_hears_of_others_and_of_its_own_absence() {
    let mut server = Server::start(&[]);
    let (store, other) = (open(&server).await, open(&server).await);
    let (sender, mut changes) = mpsc::unbounded_channel();
    store.announce_to(Arc::new(move |change| sender.send(change).unwrap()));
    assert_eq!(changes.recv().await, Some(Change::Anything));

    let own = create(&store, operation()).await;
    store.finish(own, Arc::new(reply(b""))).await.unwrap();
    let queued = durable(Bytes::new());
    create(&other, queued).await;
    let running = create(&other, operation()).await;
    other.finish(running, Arc::new(reply(b""))).await.unwrap();
    assert_eq!(changes.recv().await, Some(Change::Queued));
    assert_eq!(changes.recv().await, Some(Change::Operation(running.operation)));

    server.kill();
    server.restart();
    assert_eq!(changes.recv().await, Some(Change::Anything));
}
