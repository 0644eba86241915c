//! Operations that another release has written, so that this one cannot read them.

use super::*;
use crate::store::tests::all_listed;

const LONG: Duration = Duration::from_secs(600);

/// What makes an operation unreadable: its terms, its request, its large request.
const STRANGE: [&str; 3] = [
    "UPDATE {p}terms SET record = '\\xff' WHERE id = (SELECT max(id) FROM {p}terms)",
    "UPDATE {p}live SET request = '\\xff' WHERE terms = (SELECT max(id) FROM {p}terms)",
    "UPDATE {p}live SET request = decode(repeat('ff', 100000), 'hex') WHERE terms = (SELECT max(id) FROM {p}terms)",
];

async fn sql(server: &Server, store: &PostgresStore, statement: &str) -> String {
    server.sql(&statement.replace("{p}", &store.shared.database.prefix)).await
}

/// Ten that are queued. Every other, from the second, is of terms that are the last.
async fn every_other(server: &Server) -> (PostgresBuilder, Vec<OperationId>) {
    let builder = builder(server.options(), server);
    builder.migrate().await.unwrap();
    let store = builder.clone().connect().await.unwrap();
    let strange = Arc::new(Terms::new("/strange".into(), terms().policy.clone()));
    let mut ids = Vec::new();
    for place in 0..10 {
        let terms = if place % 2 == 0 { terms() } else { Arc::clone(&strange) };
        let operation = NewOperation { terms, ..operation("ada", 1) };
        ids.push(operation.id);
        store.create(operation).await.unwrap();
    }
    (builder, ids)
}

fn familiar(ids: &[OperationId]) -> Vec<OperationId> {
    sorted(ids.iter().step_by(2).copied())
}

fn sorted(ids: impl IntoIterator<Item = OperationId>) -> Vec<OperationId> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    ids
}

async fn claimed(store: &PostgresStore, lease: LeaseId, limit: usize) -> Vec<OperationId> {
    store.claim(lease, limit).await.unwrap().iter().map(|claimed| claimed.attempt.operation).collect()
}

#[tokio::test]
async fn claims_go_past_what_cannot_be_read_and_leave_it_to_others() {
    let server = Server::start();
    for strange in STRANGE {
        for limit in [1, 10] {
            let (builder, ids) = every_other(&server).await;
            let store = builder.connect().await.unwrap();
            sql(&server, &store, strange).await;
            let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
            let mut all = Vec::new();
            while let some @ [_, ..] = &*claimed(&store, lease, limit).await {
                all.extend_from_slice(some);
            }
            assert_eq!(sorted(all), familiar(&ids), "{strange} {limit}");
            let rests = "extract(epoch FROM now()) * 1000 + 50000 < due";
            let left = format!("SELECT count(*)::text FROM {{p}}live WHERE state = 'w' AND failures = 0 AND {rests}");
            assert_eq!(sql(&server, &store, &left).await, "5", "{strange} {limit}");
        }
    }
}

#[tokio::test]
async fn what_was_left_to_others_is_claimed_by_who_can_read_it() {
    let server = Server::start();
    let (builder, ids) = every_other(&server).await;
    let store = builder.connect().await.unwrap();
    sql(&server, &store, "ALTER TABLE {p}terms ADD kept bytea; UPDATE {p}terms SET kept = record").await;
    sql(&server, &store, STRANGE[0]).await;
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    assert_eq!(claimed(&store, lease, 10).await.len(), 5);
    sql(&server, &store, "UPDATE {p}terms SET record = kept; UPDATE {p}live SET due = 1 WHERE state = 'w'").await;
    let strange = ids.into_iter().skip(1).step_by(2);
    assert_eq!(sorted(claimed(&store, lease, 10).await), sorted(strange));
}

#[tokio::test]
async fn only_the_operation_itself_is_unreadable() {
    let server = Server::start();
    let (builder, ids) = every_other(&server).await;
    let store = builder.connect().await.unwrap();
    sql(&server, &store, STRANGE[0]).await;
    let owner = Owner::new("ada");
    // All but the first are read together.
    let reading: Vec<_> = ids.iter().chain(&ids).map(|id| store.read(*id, Some(&owner), Part::Reply)).collect();
    for (place, read) in reading.into_iter().enumerate() {
        match (place % 2, read.await) {
            (1, Err(StoreError::Unreadable(_))) | (0, Ok(Some(_))) => {}
            (_, other) => panic!("{place}: {other:?}"),
        }
    }
    sql(&server, &store, "UPDATE {p}live SET state = 'r', attempt = 1").await;
    let reply = Arc::new(reply(b"done"));
    let attempts = ids.iter().map(|id| Attempt { operation: *id, number: 1 });
    let finishing: Vec<_> = attempts.map(|attempt| store.finish(attempt, Arc::clone(&reply))).collect();
    for (place, finished) in finishing.into_iter().enumerate() {
        match (place % 2, finished.await) {
            (1, Err(StoreError::Unreadable(_))) => {}
            (0, Ok(finished)) => assert_eq!(finished.state, State::Succeeded),
            (_, other) => panic!("{place}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn lists_leave_out_what_cannot_be_read() {
    let server = Server::start();
    let (builder, ids) = every_other(&server).await;
    let store = builder.connect().await.unwrap();
    sql(&server, &store, STRANGE[0]).await;
    for limit in [1, 3, 100] {
        let all = all_listed(&store, &Owner::new("ada"), limit).await;
        assert_eq!(sorted(all), familiar(&ids), "{limit}");
    }
}

#[tokio::test]
async fn what_has_run_too_long_ends_though_some_of_it_cannot_be_read() {
    let server = Server::start();
    let (builder, ids) = every_other(&server).await;
    let store = builder.connect().await.unwrap();
    sql(&server, &store, STRANGE[0]).await;
    sql(&server, &store, "UPDATE {p}live SET state = 'r', due = 1").await;
    let ended = store.sweep(100).await.unwrap().ended;
    assert_eq!(sorted(ended.into_iter().map(|(id, _)| id)), familiar(&ids));
}

#[tokio::test]
async fn a_sweep_goes_on_beyond_lost_attempts_that_cannot_be_read() {
    let server = Server::start();
    let (builder, ids) = every_other(&server).await;
    let runs = builder.clone().connect().await.unwrap();
    sql(&server, &runs, "UPDATE {p}terms SET max_attempts = 1").await;
    let lease = runs.open_lease(LONG, Vec::new()).await.unwrap().id;
    assert_eq!(claimed(&runs, lease, 10).await.len(), ids.len());
    sql(&server, &runs, "UPDATE {p}leases SET until = 1; UPDATE {p}terms SET record = '\\xff'").await;
    // It knows none of the terms.
    let sweeps = builder.connect().await.unwrap();
    while sweeps.sweep(2).await.unwrap().more {}
    assert_eq!(sql(&server, &sweeps, "SELECT count(*)::text FROM {p}live").await, "0");
}

#[tokio::test]
async fn counts_leave_out_states_that_this_release_does_not_know() {
    let server = Server::start();
    let (builder, ids) = every_other(&server).await;
    let store = builder.clone().connect().await.unwrap();
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    let reply = Arc::new(reply(b"done"));
    for claimed in store.claim(lease, 4).await.unwrap() {
        store.finish(claimed.attempt, Arc::clone(&reply)).await.unwrap();
    }
    let known = store.counts().await.unwrap();
    assert_eq!((known.queued, known.succeeded), (ids.len() as u64 - 4, 4));
    for table in ["live", "ended"] {
        let newer = "SET state = 'x' WHERE id = (SELECT max(id::text)::uuid FROM";
        sql(&server, &store, &format!("UPDATE {{p}}{table} {newer} {{p}}{table})")).await;
    }
    // What was counted just now is told again.
    let counts = builder.connect().await.unwrap().counts().await.unwrap();
    // Its reply takes its bytes all the same.
    let fewer = Counts { queued: known.queued - 1, succeeded: 3, ..known };
    assert_eq!(counts, fewer);
}

/// What could not be run for an outage has not failed.
#[tokio::test]
async fn what_was_begun_in_an_outage_is_handed_back_uncounted() {
    const BROKEN: &str = "ALTER TABLE {p}terms RENAME record TO aside";
    const MENDED: &str = "ALTER TABLE {p}terms RENAME aside TO record";
    const STUCK: &str = "
        CREATE FUNCTION {p}stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stuck'; END $$;
        CREATE TRIGGER stuck BEFORE UPDATE ON {p}live FOR EACH ROW WHEN (old.state = 'r') EXECUTE FUNCTION {p}stuck()";
    let server = Server::start();
    for (worse, better) in [("", ""), (STUCK, "DROP TRIGGER stuck ON {p}live")] {
        let (builder, ids) = every_other(&server).await;
        let store = builder.connect().await.unwrap();
        let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
        sql(&server, &store, BROKEN).await;
        sql(&server, &store, worse).await;
        let failed = store.claim(lease, 10).await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
        sql(&server, &store, better).await;
        sql(&server, &store, MENDED).await;
        let mut all = Vec::new();
        while all.len() < ids.len() {
            all.extend(claimed(&store, lease, 10).await);
        }
        assert_eq!(sorted(all), sorted(ids));
        let counted = "SELECT count(*)::text FROM {p}live WHERE failures > 0 OR failed_attempts IS NOT NULL";
        assert_eq!(sql(&server, &store, counted).await, "0");
    }
}
