//! Whose turn it is, where many are claimed at once.

use std::collections::{BTreeMap, VecDeque};

use proptest::{
    collection::vec,
    test_runner::{Config, TestRunner},
};
use sqlx::Row;

use super::*;

/// What is queued in each lane, and the lane that had its turn last: what is next is the oldest of the first lane after
/// it.
struct Model {
    lanes: BTreeMap<i64, VecDeque<OperationId>>,
    turn: i64,
}

impl Model {
    fn next(&mut self) -> Option<OperationId> {
        let after = self.lanes.range(self.turn + 1..).chain(&self.lanes).find(|(_, queued)| !queued.is_empty());
        self.turn = *after?.0;
        self.lanes.get_mut(&self.turn)?.pop_front()
    }
}

/// One operation in each of these lanes, in this order, of which this many are claimed at a time.
async fn claims_in_turn(lanes: Vec<i64>, claims: Vec<usize>) {
    let folder = Folder::new();
    let store = SqliteOptions::new().flush(false).open(folder.file()).await.unwrap();
    let mut model = Model { lanes: BTreeMap::new(), turn: 0 };
    let created: Vec<_> = lanes
        .iter()
        .map(|lane| {
            let operation = queued();
            model.lanes.entry(*lane).or_default().push_back(operation.id);
            store.create(operation)
        })
        .collect();
    for created in created {
        created.await.unwrap();
    }
    let mut file = by_hand(&folder.file()).await;
    for (lane, queued) in &model.lanes {
        for id in queued {
            let into = sqlx::query("UPDATE operations SET lane = ? WHERE id = ?").bind(lane);
            into.bind(id.to_bytes().to_vec()).execute(&mut file).await.unwrap();
        }
    }
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    for most in claims {
        let claimed: Vec<_> = store.claim(lease, most).await.unwrap().iter().map(|one| one.attempt.operation).collect();
        let expected: Vec<_> = (0..most).map_while(|_| model.next()).collect();
        assert_eq!(claimed, expected, "{most}");
    }
}

#[test]
fn what_is_claimed_at_once_is_what_would_be_claimed_one_after_the_other() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let claims = (vec(-4..4_i64, 0..40), vec(0..20_usize, 1..6));
    let in_turn = |(lanes, claims)| {
        runtime.block_on(claims_in_turn(lanes, claims));
        Ok(())
    };
    runner.run(&claims, in_turn).unwrap();
}

/// More than one statement takes, and of each number around the sizes for which there are texts.
#[tokio::test]
async fn however_many_are_claimed_lanes_take_turns() {
    let lanes = (0..700).map(|number| [3, 1, 4, 1, 5][number % 5]).collect();
    claims_in_turn(lanes, vec![1, 4, 5, 64, 65, 0, 300, 1_000, 1]).await;
}

/// However many are queued, each step is a look at an index.
#[tokio::test]
async fn claims_do_not_look_at_the_whole_queue() {
    let folder = Folder::new();
    drop(SqliteStore::open(folder.file()).await.unwrap());
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", claim::NEXT));
    let plan = sqlx::query(explain).bind(5).fetch_all(&mut by_hand(&folder.file()).await).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
    let by_lane = plan.iter().filter(|step| step.contains("USING INDEX operations_by_lane"));
    assert_eq!(by_lane.count(), 5, "{plan:#?}");
    let other_scans =
        plan.iter().filter(|step| step.contains("SCAN operations") && !step.contains("operations_by_lane"));
    assert_eq!(other_scans.count(), 0, "{plan:#?}");
}

/// Nor does it take a look at more than an index to find that there is nothing.
#[tokio::test]
async fn that_there_is_nothing_to_claim_is_found_in_the_indices() {
    let folder = Folder::new();
    drop(SqliteStore::open(folder.file()).await.unwrap());
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", claim::WORTH_IT));
    let plan = sqlx::query(explain).bind(5).fetch_all(&mut by_hand(&folder.file()).await).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
    for index in ["operations_by_lane", "operations_by_due"] {
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:#?}");
    }
    let steps = plan.iter().filter(|step| step.contains("operations"));
    assert_eq!(steps.count(), 2, "{plan:#?}");
}

#[tokio::test]
async fn who_finds_nothing_to_claim_does_not_wait_for_who_writes() {
    let folder = Folder::new();
    let store = SqliteOptions::new().patience(Duration::from_millis(50)).open(folder.file()).await.unwrap();
    let lease = store.open_lease(LONG, Vec::new()).await.unwrap().id;
    let mut other = by_hand(&folder.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert!(store.claim(lease, 3).await.unwrap().is_empty());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    for _ in 0..4 {
        store.create(queued()).await.unwrap();
    }
    let mut numbers = Vec::new();
    for _ in 0..4 {
        numbers.push(store.claim(lease, 3).await.unwrap().len());
    }
    assert_eq!(numbers, [3, 1, 0, 0]);
}
