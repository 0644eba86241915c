//! Leases: opened, prolonged, closed; and what attempts report while they hold.

use std::{collections::HashMap, time::Duration};

use super::{
    literal::{hex, ids, numbers},
    reading::refusal,
    rows::{self, get},
    shared::{Batch, Shared},
    terms::millis,
};
use crate::{
    operation::{Refused, Report, Step},
    store::{
        StoreError,
        contract::{Attempt, Change, LeaseId, OpenLease},
    },
};

const OPEN: &str = "
WITH opened AS (
    INSERT INTO {p}leases (length, until) VALUES ({length}, {now} + {length}) RETURNING id
), brought AS (
    UPDATE {p}live v SET lease = (SELECT id FROM opened)
    FROM unnest({ids}, {attempts}) AS u(id, attempt)
    WHERE v.id = u.id AND v.attempt = u.attempt AND v.state = 'r'
    RETURNING v.id, v.attempt
)
SELECT o.id AS lease, b.id::text, b.attempt FROM opened o LEFT JOIN brought b ON true";

const RENEW: &str = "
WITH renewed AS (
    UPDATE {p}leases SET until = {now} + length WHERE id = {lease} AND until > {now} RETURNING id
), brought AS (
    UPDATE {p}live v SET lease = r.id FROM renewed r, unnest({ids}, {attempts}) AS u(id, attempt)
    WHERE v.id = u.id AND v.attempt = u.attempt AND v.state = 'r' AND v.lease IS DISTINCT FROM r.id
)
SELECT r.id AS lease, b.id::text, b.attempt FROM renewed r LEFT JOIN (
    SELECT v.id, v.attempt FROM {p}live v JOIN unnest({ids}, {attempts}) AS u(id, attempt)
        ON v.id = u.id AND v.attempt = u.attempt AND v.state = 'r'
) b ON true";

/// It has been over for a while, so that a renewal that began earlier and waits for this does not find it open still.
const CLOSE: &str = "UPDATE {p}leases SET until = {now} - 60000 WHERE id = {lease} AND until > {now}";

const REPORT: &str = "
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest({ids}, {attempts}, {numbers}, {fractions}, {messages})
        AS u(id, attempt, number, fraction, message)
)
UPDATE {p}live v SET reported = a.number, fraction = a.fraction, message = decode(a.message, 'hex')
FROM asked a
WHERE v.id = a.id AND v.attempt = a.attempt AND v.state = 'r' AND coalesce(v.reported, -1) < a.number
RETURNING v.id::text, v.attempt";

/// Whether the attempts that had nothing new to report still run.
const STILL: &str = "
SELECT v.id::text, v.attempt FROM {p}live v JOIN unnest({ids}, {attempts}) AS u(id, attempt)
    ON v.id = u.id AND v.attempt = u.attempt AND v.state = 'r'";

pub(super) async fn open(shared: &Shared, length: Duration, running: &[Attempt]) -> Result<OpenLease, StoreError> {
    let (ids, attempts) = arrays(running);
    let values = [("length", &*millis(length).to_string()), ("ids", &ids), ("attempts", &attempts)];
    let (lease, lost) = missing(shared, OPEN, &values, running).await?.ok_or(Refused::LeaseOver)?;
    Ok(OpenLease { id: lease, lost })
}

pub(super) async fn renew(shared: &Shared, lease: LeaseId, running: &[Attempt]) -> Result<Vec<Attempt>, StoreError> {
    let (ids, attempts) = arrays(running);
    let values = [("lease", &*lease.0.to_string()), ("ids", &ids), ("attempts", &attempts)];
    let (_, gone) = missing(shared, RENEW, &values, running).await?.ok_or(Refused::LeaseOver)?;
    Ok(gone)
}

pub(super) async fn close(shared: &Shared, lease: LeaseId) -> Result<(), StoreError> {
    shared.database.rows_at_once(CLOSE, &[("lease", &lease.0.to_string())]).await.map(drop)
}

/// The lease, and which of these attempts the statement did not find. `None` where there is no lease.
async fn missing(
    shared: &Shared,
    template: &str,
    values: &[(&str, &str)],
    running: &[Attempt],
) -> Result<Option<(LeaseId, Vec<Attempt>)>, StoreError> {
    let rows = shared.database.rows_at_once(template, values).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        if get::<Option<&str>>(row, "id")?.is_some() {
            found.push(rows::attempt(row)?);
        }
    }
    found.sort_unstable();
    let missing = running.iter().filter(|attempt| found.binary_search(attempt).is_err()).copied().collect();
    Ok(Some((LeaseId(get(first, "lease")?), missing)))
}

impl Batch for (Attempt, Report) {
    type Answer = ();

    async fn write(shared: &Shared, reports: Vec<Self>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        report(shared, reports).await
    }
}

async fn report(shared: &Shared, reports: Vec<(Attempt, Report)>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let asked: Vec<_> = reports.iter().map(|(attempt, _)| *attempt).collect();
    let mut latest = HashMap::with_capacity(reports.len());
    for (attempt, report) in reports {
        match latest.get(&attempt) {
            Some(Report { number, .. }) if *number >= report.number => {}
            _ => _ = latest.insert(attempt, report),
        }
    }
    let mut latest: Vec<_> = latest.into_iter().collect();
    // All replicas lock rows in the same order.
    latest.sort_unstable_by_key(|(attempt, _)| *attempt);
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (ids, attempts) = arrays(latest.iter().map(|(attempt, _)| attempt));
    let values = [
        ("ids", &*ids),
        ("attempts", &attempts),
        ("numbers", &numbers(latest.iter().map(|(_, report)| Some(number(report.number))))),
        ("fractions", &numbers(latest.iter().map(|(_, report)| Some(report.progress.fraction().to_bits() as i64)))),
        ("messages", &hex(latest.iter().map(|(_, report)| Some(report.progress.text())))),
    ];
    let mut kept = shared.database.rows(REPORT, &values).await?;
    if kept.len() < latest.len() {
        kept = shared.database.rows(STILL, &values).await?;
    }
    let running = kept.iter().map(rows::attempt).collect::<Result<Vec<_>, _>>()?;
    let mut answers = Vec::with_capacity(asked.len());
    for attempt in asked {
        answers.push(match running.contains(&attempt) {
            true => {
                shared.announcer.tell(Change::Operation(attempt.operation));
                Ok(())
            }
            // Who may not hand it back may not report on it either.
            false => Err(refusal(shared, attempt.operation, Step::HandBack { attempt: attempt.number }).await),
        });
    }
    Ok(answers)
}

fn arrays<'a>(attempts: impl IntoIterator<Item = &'a Attempt, IntoIter: Clone>) -> (String, String) {
    let attempts = attempts.into_iter();
    let numbers = numbers(attempts.clone().map(|attempt| Some(attempt.number.into())));
    (ids(attempts.map(|attempt| attempt.operation)), numbers)
}
