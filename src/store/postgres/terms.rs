//! The terms of operations: kept once however many operations run on them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::Row;

use super::{
    database::{Database, unreadable},
    literal::{LONGEST, bytes, numbers},
};
use crate::{policy::Terms, store::StoreError};

/// So many are remembered; then it begins anew.
const REMEMBERED: usize = 10_000;

const FIND: &str = "SELECT id FROM {p}terms WHERE digest = sha256({record})";

const KEEP: &str = "
INSERT INTO {p}terms (digest, record, retention, max_run_time, max_attempts, backoff)
VALUES (sha256({record}), {record}, {retention}, {max_run_time}, {max_attempts}, {backoff})
ON CONFLICT (digest) DO NOTHING";

const LOAD: &str = "SELECT id, record FROM {p}terms WHERE id = ANY ({ids})";

/// What is known already of the table.
#[derive(Debug, Default)]
pub(super) struct KnownTerms(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<Vec<u8>, i32>,
    terms: HashMap<i32, Arc<Terms>>,
}

impl KnownTerms {
    /// The number under which these are kept.
    pub(super) async fn number(&self, database: &Database, terms: &Arc<Terms>) -> Result<i32, StoreError> {
        let record = terms.to_record();
        let known = self.lock().ids.get(&record).copied();
        let number = match known {
            Some(number) => number,
            None => keep(database, terms, &record).await?,
        };
        let mut known = self.lock();
        if known.ids.len() >= REMEMBERED {
            *known = Known::default();
        }
        known.ids.insert(record, number);
        // These know how long the route's operations take; those that were read do not.
        known.terms.insert(number, Arc::clone(terms));
        Ok(number)
    }

    /// The terms that are kept under these numbers. Those that cannot be read are left out.
    pub(super) async fn load(
        &self,
        database: &Database,
        wanted: impl IntoIterator<Item = i32>,
    ) -> Result<HashMap<i32, Arc<Terms>>, StoreError> {
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        {
            let known = self.lock();
            for number in wanted {
                match known.terms.get(&number) {
                    Some(terms) => _ = found.insert(number, Arc::clone(terms)),
                    None => missing.push(number),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let ids = numbers(missing.into_iter().map(|number| Some(number.into())));
        for row in database.rows(LOAD, &[("ids", &ids)]).await? {
            let number = row.try_get(0).map_err(unreadable)?;
            let record: Vec<u8> = row.try_get(1).map_err(unreadable)?;
            let Ok(terms) = Terms::from_record(&record).map(Arc::new) else { continue };
            let mut known = self.lock();
            if known.terms.len() >= REMEMBERED {
                *known = Known::default();
            }
            found.insert(number, Arc::clone(known.terms.entry(number).or_insert(terms)));
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep(database: &Database, terms: &Terms, record: &[u8]) -> Result<i32, StoreError> {
    let record = bytes(Some(record));
    loop {
        if let Some(row) = database.rows(FIND, &[("record", &record)]).await?.first() {
            return row.try_get(0).map_err(unreadable);
        }
        let max_run_time =
            terms.max_run_time().map_or_else(|| "NULL".to_owned(), |longest| millis(longest).to_string());
        let values = [
            ("record", &*record),
            ("retention", &millis(terms.retention()).to_string()),
            ("max_run_time", &max_run_time),
            ("max_attempts", &terms.max_attempts().to_string()),
            ("backoff", &millis(terms.backoff(1)).to_string()),
        ];
        database.rows(KEEP, &values).await?;
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}
