//! How operations come to be, once under each key.

use super::{
    Flaw,
    kept::{Kept, Operation},
};
use crate::{
    operation::Timestamp,
    store::{
        StoreError,
        contract::{Created, NewOperation},
    },
};

impl Kept {
    /// What came before under the key.
    pub(super) fn taken(&self, new: &NewOperation, now: Timestamp, flaw: Flaw) -> Option<Created> {
        let (key, late) = (new.key?, flaw == Flaw::ForgetsKeysTooLate);
        let same = self.operations.iter().find(|(id, found)| {
            let counts = late || !found.is_expired(now);
            let is_missed = flaw == Flaw::CreatesAnew && **id == new.id;
            found.key.is_some_and(|taken| taken.name == key.name) && counts && !is_missed
        });
        same.map(|(id, found)| match found.key == Some(key) {
            true => Created::Existing(found.snapshot(*id, now)),
            false => Created::KeyTaken,
        })
    }

    pub(super) fn create(&mut self, new: NewOperation, now: Timestamp) -> Result<Created, StoreError> {
        let life = new.life();
        let NewOperation { id, owner, terms, key, request, lease } = new;
        lease.map_or(Ok(()), |lease| self.require(lease, now))?;
        let (progress, failed_attempts, end) = (None, Vec::new(), None);
        let (created, since) = (now, now);
        let operation =
            Operation { owner, terms, key, request, created, since, life, lease, progress, failed_attempts, end };
        self.operations.insert(id, operation);
        Ok(Created::New { at: now })
    }
}
