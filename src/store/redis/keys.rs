//! The names of what the store keeps in Redis.

/// What is kept, in the order in which every script is given it.
const KEYS: [&str; 18] = [
    "operations", // hash: id → record, as scripts/records.lua lays it out
    "requests",   // hash: id → request, until the operation has ended
    "pieces",     // hash: draft and number → a piece of a large request or reply
    "drafts",     // sorted set: drafts that no operation has yet, by when they were begun
    "terms",      // hash: digest → terms
    "uses",       // hash: digest → how many operations have these terms
    "keys",       // hash: name of an idempotency key → id and the request's fingerprint
    "queue",      // sorted set: lane, number and id of what is queued
    "lanes",      // sorted set: lanes of which something is queued, by whose turn it is
    "delayed",    // sorted set: ids that are to be queued later, by when
    "leases",     // sorted set: leases, by their end
    "lengths",    // hash: lease → length
    "held",       // sorted set: lease and id of what runs under one
    "overdue",    // sorted set: ids of what runs, by when it has run too long
    "owned",      // sorted set: owner, times of creation and ids
    "due",        // sorted set: chunks, by when their operations are to be forgotten
    "chunks",     // hash: chunk → ids
    "counts",     // hash: how many there are in each state, and the last numbers given
];

/// The keys of one store, and its channel.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) all: Vec<Box<str>>,
    /// Where changes are announced.
    pub(super) channel: Box<str>,
}

impl Keys {
    pub(super) const OPERATIONS: usize = 0;
    pub(super) const PIECES: usize = 2;
    pub(super) const TERMS: usize = 4;
    pub(super) const COUNTS: usize = 17;

    /// In braces, for a cluster to keep all that bears this prefix in one place.
    pub(super) fn new(prefix: &str) -> Self {
        let name = |key: &str| format!("{{{prefix}}}:{key}").into_boxed_str();
        Self { all: KEYS.into_iter().map(name).collect(), channel: name("changes") }
    }

    pub(super) fn name(&self, key: usize) -> &str {
        self.all.get(key).map_or("", |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_bears_the_hash_tag() {
        let keys = Keys::new("shop");
        assert!(keys.all.iter().all(|key| key.starts_with("{shop}:")));
        let named = [Keys::OPERATIONS, Keys::PIECES, Keys::TERMS, Keys::COUNTS].map(|key| keys.name(key));
        assert_eq!(named, ["{shop}:operations", "{shop}:pieces", "{shop}:terms", "{shop}:counts"]);
    }
}
