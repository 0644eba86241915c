//! Large requests and replies, which are kept in pieces.

use super::*;

#[tokio::test]
async fn large_bodies_come_back_whole_and_leave_nothing_behind() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    for length in [16 * 1024, 1024 * 1024, 3 * 1024 * 1024 + 1] {
        let body = large(length);
        create(&store, durable(body.clone())).await;
        let claimed = store.claim(lease, 1).await.unwrap().remove(0);
        assert_eq!(claimed.request.body, body);
        store.finish(claimed.attempt, Arc::new(reply(&body))).await.unwrap();

        let id = claimed.attempt.operation;
        let read = async |part| store.read(id, None, part).await.unwrap().unwrap().end.unwrap();
        assert_eq!(read(Part::Reply).await.reply, reply(&body));
        assert_eq!(read(Part::Status).await.reply.state(), State::Succeeded);
        assert_eq!(store.counts().await.unwrap().reply_bytes, length as u64);
        assert!(store.forget(id, None).await.unwrap());
        expect_nothing_left(&store).await;
    }
}

/// A claimant has to hold in memory what it claims.
#[tokio::test]
async fn few_large_requests_are_claimed_at_once() {
    let server = Server::start(&["--appendonly", "no"]);
    let store = open(&server).await;
    let lease = lease(&store).await;
    for _ in 0..3 {
        create(&store, durable(large(10 * 1024 * 1024))).await;
    }
    for expected in [2, 1, 0] {
        assert_eq!(store.claim(lease, 10).await.unwrap().len(), expected);
    }
}

/// A sweep stops where it has forgotten much, and the next goes on from there.
#[tokio::test]
async fn large_replies_are_forgotten_a_few_at_a_time() {
    let server = Server::start(&["--appendonly", "no"]);
    let store = open(&server).await;
    let body = large(40 * 1024 * 1024);
    for _ in 0..3 {
        let terms = Arc::new(Terms::new("/renders".into(), Policy::new().retention(Duration::ZERO)));
        let running = create(&store, NewOperation { terms, ..operation() }).await;
        store.finish(running, Arc::new(reply(&body))).await.unwrap();
    }
    let swept = store.sweep(100).await.unwrap();
    assert_eq!((swept.expired.len(), swept.more), (2, true));
    let swept = store.sweep(100).await.unwrap();
    assert_eq!((swept.expired.len(), swept.more), (1, false));
    expect_nothing_left(&store).await;
}

#[tokio::test]
async fn a_large_reply_that_is_refused_counts_for_nothing_and_is_swept() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let running = create(&store, operation()).await;
    let canceled = store.cancel(running.operation, None).await.unwrap();
    assert!(matches!(canceled, Cancellation::Canceled(_)));
    let refused = store.finish(running, Arc::new(reply(&large(100_000)))).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refused::Ended(State::Canceled)))), "{refused:?}");
    assert!(store.forget(running.operation, None).await.unwrap());
    let drafts = "{respond-async}:drafts";
    let members: Vec<redis::Value> = ask(&store, &["ZRANGE", drafts, "0", "-1"]).await;
    let [redis::Value::BulkString(draft)] = &*members else { panic!("{members:?}") };
    let mut aged = redis::cmd("ZADD");
    aged.arg(drafts).arg(0).arg(draft);
    let link = Arc::clone(&store.link);
    store.engine.run(async move { link.connection.ask::<()>(&aged).await }).await.unwrap();
    store.sweep(10).await.unwrap();
    expect_nothing_left(&store).await;
}

#[tokio::test]
async fn a_large_request_that_was_too_slow_to_write_leaves_no_terms() {
    let server = Server::start(&["--appendonly", "no"]);
    let store = open(&server).await;
    let created = store.create(durable(large(40 * 1024 * 1024)));
    let created = tokio::spawn(created);
    while ask::<u64>(&store, &["ZREMRANGEBYRANK", "{respond-async}:drafts", "0", "-1"]).await == 0 {}
    assert!(matches!(created.await.unwrap(), Err(StoreError::Unavailable(_))));
    assert_eq!(ask::<u64>(&store, &["HLEN", "{respond-async}:terms"]).await, 0);
    assert_eq!(ask::<u64>(&store, &["HLEN", "{respond-async}:uses"]).await, 0);
}
