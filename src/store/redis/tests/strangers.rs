//! Operations that another release has written, so that this one cannot read them.

use super::*;
use crate::store::tests::all_listed;

const FAMILIAR: &str = "/renders";
const STRANGE: &str = "/strange";

/// What this release cannot read of every other.
#[derive(Clone, Copy, Debug)]
enum Unreadable {
    Terms,
    Request,
}

fn of(route: &str, policy: Policy) -> NewOperation {
    let terms = Arc::new(Terms::new(route.into(), policy));
    NewOperation { terms, owner: Some(Owner::new("ada")), ..durable(Bytes::new()) }
}

/// Ten that are queued, of which every other, from the first, cannot be read; and a store that has not seen them
/// before.
async fn every_other(server: &Server, policy: Policy, what: Unreadable) -> (RedisStore, Vec<OperationId>) {
    let (store, mut ids) = (open(server).await, Vec::new());
    for place in 0..10 {
        let route = if place % 2 == 0 { STRANGE } else { FAMILIAR };
        ids.push(create(&store, of(route, policy.clone())).await.operation);
    }
    match what {
        Unreadable::Terms => {
            for (digest, mut entry) in terms(&store).await {
                let numbers_and_route = 22 + 2 + STRANGE.len();
                if entry[..numbers_and_route].ends_with(STRANGE.as_bytes()) {
                    entry.truncate(numbers_and_route);
                    set(&store, "terms", &digest, &[entry.as_slice(), b"\xff"].concat()).await;
                }
            }
        }
        Unreadable::Request => {
            for id in ids.iter().step_by(2) {
                set(&store, "requests", &id.to_bytes(), b"\0\xff").await;
            }
        }
    }
    (open(server).await, ids)
}

async fn terms(store: &RedisStore) -> Vec<(Vec<u8>, Vec<u8>)> {
    ask(store, &["HGETALL", "{respond-async}:terms"]).await
}

async fn set(store: &RedisStore, key: &str, field: &[u8], value: &[u8]) {
    let set = redis::Cmd::hset(format!("{{respond-async}}:{key}"), field, value);
    let link = Arc::clone(&store.link);
    store.engine.run(async move { link.connection.ask::<()>(&set).await }).await.unwrap();
}

fn sorted(ids: impl IntoIterator<Item = OperationId>) -> Vec<OperationId> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    ids
}

fn familiar(ids: &[OperationId]) -> Vec<OperationId> {
    sorted(ids.iter().skip(1).step_by(2).copied())
}

async fn claimed(store: &RedisStore, lease: LeaseId, limit: usize) -> Vec<OperationId> {
    store.claim(lease, limit).await.unwrap().iter().map(|claimed| claimed.attempt.operation).collect()
}

#[tokio::test]
async fn claims_go_past_what_cannot_be_read_and_leave_it_to_others() {
    for what in [Unreadable::Terms, Unreadable::Request] {
        for limit in [1, 10] {
            let server = Server::start(&["--appendonly", "no"]);
            let (store, ids) = every_other(&server, Policy::new(), what).await;
            let (lease, mut all) = (lease(&store).await, Vec::new());
            while let some @ [_, ..] = &*claimed(&store, lease, limit).await {
                all.extend_from_slice(some);
            }
            assert_eq!(sorted(all), familiar(&ids), "{what:?} {limit}");
            let (seconds, _): (u64, u64) = ask(&store, &["TIME"]).await;
            let later = ((seconds + 50) * 1_000).to_string();
            let left: u64 = ask(&store, &["ZCOUNT", "{respond-async}:delayed", &later, "+inf"]).await;
            assert_eq!(left, 5, "{what:?} {limit}");
        }
    }
}

#[tokio::test]
async fn what_was_left_to_others_is_claimed_by_who_can_read_it() {
    let server = Server::start(&["--appendonly", "no"]);
    let (store, ids) = every_other(&server, Policy::new(), Unreadable::Request).await;
    let lease = lease(&store).await;
    assert_eq!(claimed(&store, lease, 10).await.len(), 5);
    let record = request(Bytes::new()).to_record().unwrap();
    for id in ids.iter().step_by(2) {
        set(&store, "requests", &id.to_bytes(), &[b"\0", record.as_slice()].concat()).await;
    }
    let delayed = "{respond-async}:delayed";
    let _: u64 = ask(&store, &["ZUNIONSTORE", delayed, "1", delayed, "WEIGHTS", "0"]).await;
    assert_eq!(sorted(claimed(&store, lease, 10).await), sorted(ids.iter().step_by(2).copied()));
    for id in ids.iter().step_by(2) {
        let found = store.read(*id, Some(&Owner::new("ada")), Part::Status).await.unwrap().unwrap();
        assert_eq!(found.life, Life { state: State::Running, attempt: 2, failures: 0 });
    }
}

#[tokio::test]
async fn only_the_operation_itself_is_unreadable() {
    let server = Server::start(&["--appendonly", "no"]);
    let (store, ids) = every_other(&server, Policy::new(), Unreadable::Terms).await;
    let owner = Owner::new("ada");
    let reading: Vec<_> = ids.iter().map(|id| store.read(*id, Some(&owner), Part::Status)).collect();
    let ending: Vec<_> = ids.iter().map(|id| store.cancel(*id, Some(&owner))).collect();
    for (place, (read, ended)) in reading.into_iter().zip(ending).enumerate() {
        match (place % 2, read.await, ended.await) {
            (0, Err(StoreError::Unreadable(_)), Err(StoreError::Unreadable(_)))
            | (1, Ok(Some(_)), Ok(Cancellation::Canceled(_))) => {}
            (_, read, ended) => panic!("{place}: {read:?}, {ended:?}"),
        }
    }
}

#[tokio::test]
async fn lists_leave_out_what_cannot_be_read() {
    let server = Server::start(&["--appendonly", "no"]);
    let (store, ids) = every_other(&server, Policy::new(), Unreadable::Terms).await;
    for limit in [1, 3, 100] {
        let all = all_listed(&store, &Owner::new("ada"), limit).await;
        assert_eq!(sorted(all), familiar(&ids), "{limit}");
    }
}

#[tokio::test]
async fn what_has_run_too_long_ends_though_some_of_it_cannot_be_read() {
    let server = Server::start(&["--appendonly", "no"]);
    let brief = Policy::new().max_run_time(Duration::from_millis(1));
    let (store, ids) = every_other(&server, brief, Unreadable::Terms).await;
    let lease = lease(&store).await;
    // By one who can read them.
    let other = open(&server).await;
    for route in [FAMILIAR, STRANGE] {
        other.link.terms.introduce(&of(route, Policy::new().max_run_time(Duration::from_millis(1))).terms);
    }
    assert_eq!(other.claim(lease, 10).await.unwrap().len(), 10);
    let mut ended = Vec::new();
    while store.counts().await.unwrap().running > 0 {
        ended.extend(store.sweep(100).await.unwrap().ended.into_iter().map(|(id, _)| id));
    }
    assert_eq!(sorted(ended), familiar(&ids));
}
