//! Operations begin: many in one statement.

use std::{collections::HashMap, sync::Arc};

use super::{
    database::{LARGE, Way, admit, unreadable},
    literal::{digests, hex, id, ids, numbers},
    reading::one,
    rows::{self, get, time},
    shared::{Batch, Shared},
    statement::Statement,
    terms::millis,
};
use crate::{
    operation::{Life, OperationId, Refused, Timestamp},
    store::{
        StoreError,
        contract::{Change, Created, NewOperation},
    },
};

/// Those whose lease is over are left out, and those whose key is taken. Whoever is first to insert the key has it.
const TEMPLATE: &str = "
WITH asked AS MATERIALIZED (
    SELECT u.id, u.terms, u.longest, decode(u.owner, 'hex') AS owner, u.name, u.fingerprint, u.lease,
        decode(u.route, 'hex') AS route, u.route IS NULL OR u.lease IS NOT NULL AS runs, {request} AS request
    FROM unnest({ids}, {terms}, {longest}, {owners}, {names}, {fingerprints}, {leases}, {routes}, {requests})
        AS u(id, terms, longest, owner, name, fingerprint, lease, route, request)
    WHERE u.lease IS NULL OR (SELECT l.until > {now} FROM {p}leases l WHERE l.id = u.lease)
    ORDER BY u.id
){won}, made AS (
    INSERT INTO {p}live (id, created, due, lease, terms, attempt, failures, state, owner, key, lane, request)
    SELECT id, {now}, CASE WHEN runs THEN {now} + longest END, lease, terms, runs::int, 0,
        CASE WHEN runs THEN 'r' ELSE 'q' END::\"char\", owner, name, md5(coalesce(md5(owner), '') || md5(route))::uuid,
        request
    FROM asked {winners}
    ON CONFLICT (id) DO NOTHING
    RETURNING id, created
)
SELECT id::text, created FROM made";

/// Where there are no keys.
pub(super) const CREATE: Statement = Statement {
    label: "create",
    template: TEMPLATE,
    parts: &[("request", WRITTEN), ("won", ""), ("winners", "")],
    arguments: &[
        ("ids", "uuid[]"),
        ("terms", "int8[]"),
        ("longest", "int8[]"),
        ("owners", "text[]"),
        ("names", "uuid[]"),
        ("fingerprints", "uuid[]"),
        ("leases", "int8[]"),
        ("routes", "text[]"),
        ("requests", "text[]"),
    ],
};

/// Where there are.
pub(super) const CREATE_KEYED: Statement =
    Statement { label: "create by key", parts: &[("request", WRITTEN), ("won", WON), ("winners", WINNERS)], ..CREATE };

/// Where the request is too large to be written into the statement.
const CREATE_LARGE: Statement =
    Statement { parts: &[("request", "$1::bytea"), ("won", WON), ("winners", WINNERS)], ..CREATE };

const WRITTEN: &str = "decode(u.request, 'hex')";
const WON: &str = ", won AS (
    INSERT INTO {p}keys (name, request, operation)
    SELECT name, fingerprint, id FROM asked WHERE name IS NOT NULL ORDER BY name
    ON CONFLICT (name) DO NOTHING
    RETURNING operation
)";
const WINNERS: &str = "WHERE name IS NULL OR id IN (SELECT operation FROM won)";

/// Why it was not created: `held` unless its lease is over; what its key has become.
const EXPLAIN: &str = "
SELECT {lease}::int8 IS NULL OR EXISTS (SELECT FROM {p}leases WHERE id = {lease} AND until > {now}) AS held,
    k.request = {fingerprint}::uuid AS same, k.operation::text AS operation,
    (SELECT created FROM {p}live WHERE id = {id}) AS created
FROM (SELECT) one LEFT JOIN {p}keys k ON k.name = {name}::uuid";

/// What became of the operation is not there any longer, so the key is free.
const FREE: &str = "DELETE FROM {p}keys WHERE name = {name}::uuid AND operation = {operation}::uuid";

/// An operation as it is written.
#[derive(Debug)]
pub(super) struct Draft {
    operation: NewOperation,
    record: Option<Vec<u8>>,
}

impl Draft {
    pub(super) fn new(operation: NewOperation) -> Result<Self, StoreError> {
        const ABSURD: StoreError = StoreError::Unsupported("a request whose headers are absurdly large");
        let record = operation.request.as_ref().map(|request| request.to_record().ok_or(ABSURD)).transpose()?;
        admit(record.as_ref().map_or(0, Vec::len))?;
        Ok(Self { operation, record })
    }

    pub(super) fn is_large(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.len() > LARGE)
    }
}

/// What came of a draft that was written with others.
#[derive(Debug)]
pub(super) enum Written {
    /// It is there.
    New(Timestamp),
    /// It is not, for a reason to be found out: see [`explain`].
    Not(Box<Draft>),
}

impl Batch for Draft {
    type Answer = Written;

    async fn write(shared: &Shared, drafts: Vec<Self>) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
        let queued = drafts.iter().any(|draft| draft.operation.life() == Life::QUEUED);
        let announcement = shared.announcer.take(queued.then_some(Change::Queued));
        let created = write(shared, announcement.way(), &drafts).await;
        let mut created = created.inspect_err(|_| shared.announcer.put_back(announcement))?;
        let written = |draft: Self| match created.remove(&draft.operation.id) {
            Some(at) => Written::New(at),
            None => Written::Not(Box::new(draft)),
        };
        Ok(drafts.into_iter().map(written).map(Ok).collect())
    }
}

/// Writes one whose request is too large to be written with others.
pub(super) async fn create_large(shared: &Shared, draft: Draft) -> Result<Created, StoreError> {
    let way = Way::Large(draft.record.as_deref());
    let mut created = write(shared, way, std::slice::from_ref(&draft)).await?;
    match created.remove(&draft.operation.id) {
        Some(at) => Ok(Created::New { at }),
        None => explain(shared, &draft).await,
    }
}

async fn write(shared: &Shared, way: Way<'_>, drafts: &[Draft]) -> Result<HashMap<OperationId, Timestamp>, StoreError> {
    let mut terms = Vec::with_capacity(drafts.len());
    for draft in drafts {
        terms.push(Some(shared.terms.number(&shared.database, &draft.operation.terms).await?.into()));
    }
    let operations = || drafts.iter().map(|draft| &draft.operation);
    let route = |operation: &NewOperation| operation.request.is_some().then(|| Arc::clone(&operation.terms));
    let longest = |operation: &NewOperation| operation.terms.max_run_time().map(millis);
    let written = |draft: &Draft| draft.record.clone().filter(|_| !matches!(way, Way::Large(_)));
    let arguments = [
        &*ids(operations().map(|operation| operation.id)),
        &numbers(terms),
        &numbers(operations().map(longest)),
        &hex(operations().map(|operation| operation.owner.as_ref().map(|owner| owner.as_str()))),
        &digests(operations().map(|operation| operation.key.map(|key| key.name))),
        &digests(operations().map(|operation| operation.key.map(|key| key.request))),
        &numbers(operations().map(|operation| operation.lease.map(|lease| lease.0))),
        &hex(operations().map(|operation| route(operation).map(|terms| terms.route().to_owned()))),
        &hex(drafts.iter().map(written)),
    ];
    let statement = match way {
        Way::Large(_) => &CREATE_LARGE,
        _ if operations().any(|operation| operation.key.is_some()) => &CREATE_KEYED,
        _ => &CREATE,
    };
    let rows = shared.database.often(way, statement, &arguments).await?;
    rows.iter().map(|row| Ok((rows::id(row)?, time(get(row, "created")?)))).collect()
}

/// Finds out why a draft was not written, and writes it where there is no reason any more.
pub(super) async fn explain(shared: &Shared, draft: &Draft) -> Result<Created, StoreError> {
    let operation = &draft.operation;
    loop {
        let values = [
            ("id", &*id(operation.id)),
            ("lease", &operation.lease.map_or_else(|| "NULL".to_owned(), |lease| lease.0.to_string())),
            ("name", &format!("({})[1]", digests([operation.key.map(|key| key.name)]))),
            ("fingerprint", &format!("({})[1]", digests([operation.key.map(|key| key.request)]))),
        ];
        let rows = shared.database.rows(EXPLAIN, &values).await?;
        let Some(row) = rows.first() else { return Err(Refused::Unknown.into()) };
        if let Some(holder) = get::<Option<&str>>(row, "operation")? {
            let holder = holder.parse().map_err(unreadable)?;
            match one(shared, Way::Plain, holder, "NULL::bytea").await? {
                Some(_) if get::<Option<bool>>(row, "same")? != Some(true) => return Ok(Created::KeyTaken),
                Some(existing) if existing.id != operation.id => return Ok(Created::Existing(existing)),
                Some(created_before) => return Ok(Created::New { at: created_before.created }),
                None => {
                    let values = [("name", values[2].1), ("operation", &*id(holder))];
                    shared.database.rows(FREE, &values).await?;
                }
            }
        } else if !get::<bool>(row, "held")? {
            return Err(Refused::LeaseOver.into());
        } else if let Some(created) = get::<Option<i64>>(row, "created")? {
            // This very operation was created before, by one whose answer was lost.
            return Ok(Created::New { at: time(created) });
        }
        let way = if draft.is_large() { Way::Large(draft.record.as_deref()) } else { Way::Plain };
        if let Some(at) = write(shared, way, std::slice::from_ref(draft)).await?.remove(&operation.id) {
            return Ok(Created::New { at });
        }
    }
}
