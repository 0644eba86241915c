//! Tables that are made, or refused, and servers that are.

use super::*;

#[tokio::test]
async fn many_migrate_at_once_and_again_and_by_hand() {
    let server = Server::start();
    let by_call = builder(server.options(), &server);
    assert!(matches!(by_call.clone().connect().await, Err(PostgresError::NotMigrated)));
    let mut migrations = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let by_call = by_call.clone();
        migrations.spawn(async move { by_call.migrate().await });
    }
    for migrated in migrations.join_all().await {
        migrated.unwrap();
    }
    by_call.migrate().await.unwrap();
    by_call.clone().connect().await.unwrap();

    server.sql(&format!("BEGIN; {} COMMIT;", PostgresStore::migrations("hand_").unwrap())).await;
    let columns = async |prefix: &str| {
        let statement = format!(
            "SELECT string_agg(x, ';' ORDER BY x) FROM (
                SELECT concat_ws(' ', replace(table_name, '{prefix}', ''), ordinal_position, column_name, data_type,
                    is_nullable) FROM information_schema.columns WHERE table_name LIKE '{prefix}%'
                UNION ALL SELECT replace(indexdef, '{prefix}', '') FROM pg_indexes WHERE tablename LIKE '{prefix}%') t(x)"
        );
        server.sql(&statement).await
    };
    let by_hand = columns("hand_").await;
    assert!(by_hand.contains("failed_attempts"), "{by_hand}");
    assert_eq!(columns(&by_call.prefix).await, by_hand);
}

#[tokio::test]
async fn newer_tables_are_refused_and_left_alone() {
    let server = Server::start();
    let builder = builder(server.options(), &server);
    builder.migrate().await.unwrap();
    let prefix = &builder.prefix;
    server.sql(&format!("INSERT INTO {prefix}schema VALUES (2); DROP TABLE {prefix}keys")).await;
    let newer = |result| matches!(result, Err(PostgresError::Newer { found: 2, known: 1 }));
    assert!(newer(builder.migrate().await));
    assert!(newer(builder.clone().connect().await.map(drop)));
    assert_eq!(server.sql(&format!("SELECT (to_regclass('{prefix}keys') IS NULL)::text")).await, "true");
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_has_committed_is_refused_by_name() {
    let server = Server::start();
    let builder = builder(server.options(), &server);
    builder.migrate().await.unwrap();
    for (setting, value) in [
        ("synchronous_commit", "off"),
        ("default_transaction_isolation", "'repeatable read'"),
        ("default_transaction_read_only", "on"),
    ] {
        server.sql(&format!("ALTER ROLE test SET {setting} = {value}")).await;
        let refused = builder.clone().connect().await.unwrap_err();
        assert!(refused.to_string().contains(setting), "{refused}");
        let weaker = builder.clone().weaker_durability(true).connect().await;
        assert_eq!(weaker.is_ok(), setting == "synchronous_commit", "{setting} {weaker:?}");
        server.sql(&format!("BEGIN READ WRITE; ALTER ROLE test RESET {setting}; COMMIT")).await;
    }
    builder.connect().await.unwrap();
}
