//! Operations are read, one by one and by their owners' lists.

use sqlx::postgres::PgRow;

use super::{
    database::{LARGE, Way},
    literal::{bytes, hex, id, ids, numbers},
    rows::{self, OPERATIONS, SNAPSHOT, codes_of, get, readable, snapshots, time},
    shared::{Batch, Shared},
    statement::Statement,
};
use crate::{
    operation::{OperationId, Owner, Refused, Step},
    store::{
        StoreError,
        contract::{ListFilter, Listed, Part, Snapshot},
    },
};

/// One operation or none.
const OPERATION: &str = "SELECT {snapshot} FROM ({operations}) o";

pub(super) const READ: Statement = Statement {
    label: "read",
    template: "
SELECT u.n, {snapshot}
FROM unnest({ids}, {owners}, {parts}) WITH ORDINALITY AS u(id, owner, part, n)
CROSS JOIN LATERAL ({operations}) o
WHERE o.owner IS NOT DISTINCT FROM decode(u.owner, 'hex')",
    parts: &[
        ("snapshot", SNAPSHOT),
        ("operations", OPERATIONS),
        ("where", "v.id = u.id"),
        ("reply", "CASE WHEN u.part > 0 AND octet_length(v.reply) <= {large} THEN v.reply END"),
        ("live", ""),
        ("ended", ""),
    ],
    arguments: &[("ids", "uuid[]"), ("owners", "text[]"), ("parts", "int8[]"), ("large", "int8")],
};

/// The newest of each state, by the index, and of these the newest.
const LIST: &str = "
SELECT {snapshot} FROM unnest({states}) AS s(state) CROSS JOIN LATERAL ({operations}) o
ORDER BY o.created DESC, o.id DESC LIMIT {limit}";

/// What somebody wants to know of an operation.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: OperationId,
    pub(super) owner: Option<Owner>,
    pub(super) part: Part,
}

/// What came of a question.
#[derive(Debug)]
pub(super) enum Answer {
    Found(Option<Snapshot>),
    /// There is a reply that is too large to be read with others: see [`read_large`].
    Large,
}

impl Batch for Question {
    type Answer = Answer;

    async fn write(shared: &Shared, questions: Vec<Self>) -> Result<Answers, StoreError> {
        read(shared, &questions).await
    }
}

type Answers = Vec<Result<Answer, StoreError>>;

/// Answers these in one statement.
async fn read(shared: &Shared, questions: &[Question]) -> Result<Answers, StoreError> {
    let arguments = [
        &*ids(questions.iter().map(|question| question.id)),
        &hex(questions.iter().map(|question| question.owner.as_ref().map(Owner::as_str))),
        &numbers(questions.iter().map(|question| Some(i64::from(question.part == Part::Reply)))),
        &LARGE.to_string(),
    ];
    let rows = shared.database.look(&READ, &arguments).await?;
    let mut answers: Vec<_> = questions.iter().map(|_| Ok(Answer::Found(None))).collect();
    for (row, snapshot) in rows.iter().zip(snapshots(shared, &rows).await?) {
        let index = usize::try_from(get::<i64>(row, "n")? - 1).unwrap_or(usize::MAX);
        let (Some(answer), Some(question)) = (answers.get_mut(index), questions.get(index)) else { continue };
        *answer = match question.part == Part::Reply && is_larger(row)? {
            true => Ok(Answer::Large),
            false => snapshot.map(Some).map(Answer::Found),
        };
    }
    Ok(answers)
}

/// Whether there is more of the reply than was read.
fn is_larger(row: &PgRow) -> Result<bool, StoreError> {
    Ok(get::<i32>(row, "size")? > 0 && get::<Option<Vec<u8>>>(row, "reply")?.is_none())
}

/// An operation with its large reply; its owner has been found to be right.
pub(super) async fn read_large(shared: &Shared, operation: OperationId) -> Result<Option<Snapshot>, StoreError> {
    one(shared, Way::Large(None), operation, "v.reply").await
}

/// One operation, whoever its owner is; `reply` says what of its reply is wanted.
pub(super) async fn one(
    shared: &Shared,
    way: Way<'_>,
    operation: OperationId,
    reply: &str,
) -> Result<Option<Snapshot>, StoreError> {
    let this = format!("v.id = {}", id(operation));
    let operations = shared.database.render(OPERATIONS, &[("where", &*this), ("reply", reply)]);
    let values = [("snapshot", &*shared.database.render(SNAPSHOT, &[])), ("operations", &operations)];
    let rows = shared.database.rows_by(way, OPERATION, &values).await?;
    snapshots(shared, &rows).await?.pop().transpose()
}

/// Why a step was not taken.
pub(super) async fn refusal(shared: &Shared, operation: OperationId, step: Step) -> StoreError {
    match one(shared, Way::Plain, operation, "NULL::bytea").await {
        Err(error) => error,
        Ok(None) => Refused::Unknown.into(),
        Ok(Some(found)) => match found.life.step(step) {
            Err(refused) => refused.into(),
            Ok(_) => Refused::Superseded { latest: found.life.attempt }.into(),
        },
    }
}

/// Leaves out what cannot be read.
pub(super) async fn list(
    shared: &Shared,
    owner: &Owner,
    filter: ListFilter,
    limit: usize,
) -> Result<Listed, StoreError> {
    let owner = bytes(Some(owner.as_str().as_bytes()));
    let mut those = "v.state = s.state AND v.owner = {owner} AND md5(v.owner)::uuid = md5({owner})::uuid".to_owned();
    if let Some((created, last)) = filter.after {
        let created = i64::try_from(created.as_millis()).unwrap_or(i64::MAX);
        // The first condition is what the index finds the place by.
        those += &format!(" AND v.created <= {created} AND (v.created, v.id) < ({created}, {})", id(last));
    }
    let those = shared.database.render(&those, &[("owner", &*owner)]);
    let one_more = limit.saturating_add(1).to_string();
    let newest = format!("ORDER BY v.created DESC, v.id DESC LIMIT {one_more}");
    let operations = shared.database.render(
        &format!("({})", OPERATIONS.replace("\nUNION ALL\n", ")\nUNION ALL\n(")),
        &[("where", &*those), ("reply", "NULL::bytea"), ("live", &newest), ("ended", &newest)],
    );
    let values = [
        ("snapshot", &*shared.database.render(SNAPSHOT, &[])),
        ("states", &states(filter)),
        ("operations", &operations),
        ("limit", &one_more),
    ];
    let rows = shared.database.rows(LIST, &values).await?;
    let shown = rows.get(..limit).unwrap_or(&rows);
    let next = match shown.last().filter(|_| rows.len() > limit) {
        Some(last) => Some((time(get(last, "created")?), rows::id(last)?)),
        None => None,
    };
    let operations = snapshots(shared, shown).await?.into_iter().filter_map(readable).collect();
    Ok(Listed { operations, next })
}

fn states(filter: ListFilter) -> String {
    let codes: Vec<_> = filter.state.map_or("qwrsfc", codes_of).chars().map(String::from).collect();
    format!("'{{{}}}'::\"char\"[]", codes.join(","))
}
