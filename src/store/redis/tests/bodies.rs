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
async fn large_bodies_that_are_refused_are_dropped_at_once() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = Key { name: [1; 16], request: [2; 16] };
    let keyed = |key| NewOperation { key: Some(key), ..durable(large(100_000)) };
    let first = keyed(key);
    let id = first.id;
    create(&store, first).await;
    assert!(matches!(store.create(keyed(key)).await, Ok(Created::Existing(_))));
    assert!(matches!(store.create(keyed(Key { request: [3; 16], ..key })).await, Ok(Created::KeyTaken)));
    let held = NewOperation { lease: Some(LeaseId::NONE), ..durable(large(100_000)) };
    assert!(matches!(store.create(held).await, Err(StoreError::Refused(Refused::LeaseOver))));
    assert_eq!(ask::<u64>(&store, &["HLEN", "{respond-async}:pieces"]).await, 1);

    let attempt = store.claim(lease(&store).await, 1).await.unwrap().remove(0).attempt;
    let superseded = store.finish(Attempt { number: 7, ..attempt }, Arc::new(reply(&large(100_000)))).await;
    assert!(matches!(superseded, Err(StoreError::Refused(Refused::Superseded { latest: 1 }))), "{superseded:?}");
    assert!(matches!(store.cancel(id, None).await.unwrap(), Cancellation::Canceled(_)));
    let late = store.finish(attempt, Arc::new(reply(&large(100_000)))).await;
    assert!(matches!(late, Err(StoreError::Refused(Refused::Ended(State::Canceled)))), "{late:?}");
    assert!(store.forget(id, None).await.unwrap());
    expect_nothing_left(&store).await;
}

/// As of processes that died while they wrote them.
#[tokio::test]
async fn sweeps_go_on_until_no_old_draft_is_left() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    for number in 0..9 {
        let (name, piece) = (format!("0123456789abcde{number}\0\0\0\x01"), format!("0123456789abcde{number}\0\0\0\0"));
        let _: u64 = ask(&store, &["HSET", "{respond-async}:pieces", &piece, "of nobody"]).await;
        let _: u64 = ask(&store, &["ZADD", "{respond-async}:drafts", "0", &name]).await;
    }
    while store.sweep(100).await.unwrap().more {}
    expect_nothing_left(&store).await;
}

#[tokio::test]
async fn a_large_request_that_was_too_slow_to_write_leaves_nothing_behind() {
    let server = Server::start(&["--appendonly", "no"]);
    let store = open(&server).await;
    let created = store.create(durable(large(40 * 1024 * 1024)));
    let created = tokio::spawn(created);
    while ask::<u64>(&store, &["ZREMRANGEBYRANK", "{respond-async}:drafts", "0", "-1"]).await == 0 {}
    assert!(matches!(created.await.unwrap(), Err(StoreError::Unavailable(_))));
    expect_nothing_left(&store).await;
}
