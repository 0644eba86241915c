//! The terms of operations: kept once in the server for all that have the same, and known here by their digest.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{connection::Connection, keys::Keys};
use crate::{policy::Terms, store::StoreError};

/// The fingerprint of an entry.
pub(super) type Digest = [u8; 8];

/// More are never known at a time.
const KNOWN: usize = 1_000;

/// The terms that were met before.
#[derive(Debug, Default)]
pub(super) struct KnownTerms(Mutex<HashMap<Digest, Arc<Terms>>>);

impl KnownTerms {
    /// The entry of these terms and its digest. From now on, the digest means just these.
    pub(super) fn introduce(&self, terms: &Arc<Terms>) -> (Digest, Vec<u8>) {
        let entry = entry(terms);
        let digest = digest(&entry);
        self.insert(digest, Arc::clone(terms));
        (digest, entry)
    }

    /// The terms of this digest; none where the server does not have them any more.
    pub(super) async fn of(
        &self,
        digest: Digest,
        connection: &Connection,
        keys: &Keys,
    ) -> Result<Option<Arc<Terms>>, StoreError> {
        if let Some(known) = self.lock().get(&digest) {
            return Ok(Some(Arc::clone(known)));
        }
        let command = redis::Cmd::hget(keys.name(Keys::TERMS), &digest);
        let Some(entry) = connection.ask::<Option<Vec<u8>>>(&command).await? else { return Ok(None) };
        let terms = Arc::new(read(&entry)?);
        self.insert(digest, Arc::clone(&terms));
        Ok(Some(terms))
    }

    fn insert(&self, digest: Digest, terms: Arc<Terms>) {
        let mut known = self.lock();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(digest, terms);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<Terms>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers that the scripts reckon with and the route's name, then the record.
fn entry(terms: &Terms) -> Vec<u8> {
    let mut entry = Vec::new();
    let route = terms.route().as_bytes();
    let route = route.get(..usize::from(u16::MAX)).unwrap_or(route);
    // Zero is no limit.
    let max_run_time = terms.max_run_time().map_or(0, |longest| millis(longest).max(1));
    entry.extend_from_slice(&six(millis(terms.retention())));
    entry.extend_from_slice(&six(max_run_time));
    entry.extend_from_slice(&terms.max_attempts().to_be_bytes());
    entry.extend_from_slice(&six(millis(terms.backoff(1))));
    entry.extend_from_slice(&(route.len() as u16).to_be_bytes());
    entry.extend_from_slice(route);
    entry.extend_from_slice(&terms.to_record());
    entry
}

fn read(entry: &[u8]) -> Result<Terms, StoreError> {
    const NUMBERS: usize = 6 + 6 + 4 + 6;
    let record = entry.get(NUMBERS..).and_then(|rest| {
        let (length, rest) = rest.split_first_chunk()?;
        rest.get(usize::from(u16::from_be_bytes(*length))..)
    });
    let record = record.ok_or(super::answer::Malformed("terms"))?;
    Terms::from_record(record).map_err(|error| StoreError::Unreadable(Box::new(error)))
}

/// What is too long to count, some thousand years, is as good as for ever.
pub(super) fn millis(duration: Duration) -> u64 {
    const LONGEST: u128 = 1 << 46;
    duration.as_millis().min(LONGEST) as u64
}

fn six(number: u64) -> [u8; 6] {
    let [_, _, six @ ..] = number.to_be_bytes();
    six
}

/// FNV-1a, which is the same in every release.
fn digest(bytes: &[u8]) -> Digest {
    let mixed = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mixed).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn terms_come_out_of_their_entries_again() {
        let policy = Policy::new().retention(Duration::MAX).max_run_time(Duration::from_nanos(1));
        let terms = Terms::new("/renders".into(), policy.clone());
        let kept = read(&entry(&terms)).unwrap();
        assert_eq!((kept.route(), &kept.policy), ("/renders", &policy));
        read(&entry(&terms)[..24]).unwrap_err();
    }

    #[test]
    fn digests_are_those_of_fnv_1a() {
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325_u64.to_be_bytes());
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8_u64.to_be_bytes());
    }
}
