//! Servers that are not opened, or not as they are asked for.

use super::*;

#[tokio::test]
async fn a_server_that_evicts_is_not_opened_unless_for_what_is_detached() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    let refused = RedisStore::builder(server.url()).open().await;
    assert!(matches!(&refused, Err(RedisOpenError::Evicts(policy)) if policy == "allkeys-lru"), "{refused:?}");
    let store = RedisStore::builder(server.url()).allow_eviction(true).open().await.unwrap();
    create(&store, operation()).await;
    let refused = store.create(durable(Bytes::new())).await;
    assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_does_not_show_its_settings_is_opened() {
    let server = Server::start(&["--rename-command", "CONFIG", ""]);
    create(&open(&server).await, durable(Bytes::new())).await;
}

#[tokio::test]
async fn a_replica_is_not_opened() {
    let server = Server::start(&["--replicaof", "127.0.0.1", "1"]);
    let refused = RedisStore::builder(server.url()).open().await;
    assert!(matches!(refused, Err(RedisOpenError::Replica)), "{refused:?}");
}

#[tokio::test]
async fn prefixes_that_would_spread_over_a_cluster_are_refused() {
    for prefix in ["", "}", "a{b}"] {
        let refused = RedisStore::builder("redis://127.0.0.1:1/").prefix(prefix).open().await;
        assert!(matches!(refused, Err(RedisOpenError::Prefix)), "{prefix}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_written_and_not_replicated_is_unavailable_where_that_was_asked_for() {
    let server = Server::start(&[]);
    let patience = Duration::from_millis(500);
    let store = RedisStore::builder(server.url()).wait_replicas(1).patience(patience).open().await.unwrap();
    let created = store.create(operation()).await;
    assert!(matches!(created, Err(StoreError::Unavailable(_))), "{created:?}");
}

/// Whatever becomes of the replicas, it is no matter to who only reads.
#[tokio::test]
async fn what_waits_for_replicas_holds_up_no_reading() {
    let server = Server::start(&[]);
    let patience = Duration::from_secs(60);
    let store = RedisStore::builder(server.url()).wait_replicas(1).patience(patience).open().await.unwrap();
    let other = open(&server).await;
    let waits = async || ask::<String>(&other, &["INFO", "clients"]).await.contains("blocked_clients:1\r\n");
    let created = operation();
    let id = created.id;
    let waiting = tokio::spawn(store.create(created));
    while !waits().await {}
    assert!(store.read(id, None, Part::Status).await.unwrap().is_some());
    assert!(waits().await);
    drop(server);
    assert!(matches!(waiting.await.unwrap(), Err(StoreError::Unavailable(_))));
}

/// What a user needs, and the refusal of one who lacks a part of it.
#[tokio::test]
async fn a_user_without_the_rights_that_are_needed_is_refused_by_their_names() {
    const NEEDED: &str = "~{respond-async}:* &{respond-async}:* +@all -@dangerous +info";
    let server = Server::start(&[]);
    let admin = open(&server).await;
    let all_but = [
        ("", None),
        ("-info", Some("INFO")),
        ("-@scripting", Some("SCRIPT LOAD")),
        ("-evalsha", Some("EVALSHA")),
        ("resetkeys ~other", Some("EVALSHA")),
        ("-zrevrangebylex", Some("ZREVRANGEBYLEX in scripts")),
        ("-hset", Some("HSET in scripts")),
        ("-publish", Some("PUBLISH in scripts")),
        ("resetchannels", Some("PUBLISH in scripts")),
        ("-subscribe", Some("SUBSCRIBE")),
    ];
    for (number, (without, missing)) in all_but.into_iter().enumerate() {
        let user = format!("user{number}");
        let rights: Vec<_> = NEEDED.split(' ').chain(without.split_whitespace()).collect();
        let _: String = ask(&admin, &[&["ACL", "SETUSER", &user, "on", ">secret"], rights.as_slice()].concat()).await;
        let url = format!("redis://{user}:secret@127.0.0.1:{}/", server.port());
        let opened = RedisStore::builder(url).open().await;
        match (opened, missing) {
            (Ok(store), None) => _ = create(&store, operation()).await,
            (Err(RedisOpenError::Forbidden(what)), Some(missing)) => {
                assert!(what.starts_with(missing), "{without}: {what}")
            }
            (opened, _) => panic!("{without}: {opened:?}"),
        }
    }
}
