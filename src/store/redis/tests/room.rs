//! What operations take of the server's memory, and what is left of them.

use super::*;

#[tokio::test]
async fn a_server_without_memory_is_full_and_still_lets_operations_end() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let running = create(&store, operation()).await;
    let _: String = ask(&store, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let full = store.create(operation()).await;
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    store.finish(running, Arc::new(reply(b"done"))).await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.running, counts.succeeded, counts.reply_bytes), (0, 1, 4));
    assert!(store.forget(running.operation, None).await.unwrap());
    let _: String = ask(&store, &["CONFIG", "SET", "maxmemory", "0"]).await;
    expect_nothing_left(&store).await;
}

#[tokio::test]
async fn a_finished_operation_takes_at_most_200_bytes_beyond_its_reply() {
    const COUNT: usize = 30_000;
    for owner in [None, Some(Owner::new("ann@example.com"))] {
        let server = Server::start(&["--appendonly", "no"]);
        let store = open(&server).await;
        let (before, _) = (memory(&store).await, create_and_finish(&store, owner.as_ref(), 1).await);
        create_and_finish(&store, owner.as_ref(), COUNT).await;
        let each = (memory(&store).await - before) / COUNT as f64;
        assert!(each <= 200.0, "{each} of {owner:?}");
    }
}

async fn create_and_finish(store: &RedisStore, owner: Option<&Owner>, count: usize) {
    let terms = Arc::new(Terms::new("/renders".into(), Policy::new()));
    for _ in 0..count.div_ceil(500) {
        let some = (0..500.min(count)).map(|_| {
            let (store, terms, owner) = (store.clone(), Arc::clone(&terms), owner.cloned());
            tokio::spawn(async move {
                let running = create(&store, NewOperation { terms, owner, ..operation() }).await;
                store.finish(running, Arc::new(reply(b""))).await.unwrap();
            })
        });
        for one in some.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }
}

async fn memory(store: &RedisStore) -> f64 {
    let info: String = ask(store, &["INFO", "memory"]).await;
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn keys_and_owners_are_cleaned_up_with_their_operations() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let (owner, key) = (Owner::new("ann".repeat(30_000)), Key { name: [7; 16], request: [8; 16] });
    let keyed = NewOperation { owner: Some(owner.clone()), key: Some(key), ..durable(Bytes::new()) };
    let id = keyed.id;
    create(&store, keyed).await;
    assert_eq!(store.list(&owner, ListFilter::default(), 9).await.unwrap().operations.len(), 1);
    assert!(matches!(store.cancel(id, Some(&owner)).await.unwrap(), Cancellation::Canceled(_)));
    assert!(store.forget(id, Some(&owner)).await.unwrap());
    expect_nothing_left(&store).await;
}
