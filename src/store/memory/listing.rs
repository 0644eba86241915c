//! An owner's operations, in the order of their creation.

use std::collections::BTreeSet;

use dashmap::{DashMap, Entry};

use super::MemoryStore;
use crate::{
    operation::{OperationId, Owner, Timestamp},
    store::{ListFilter, Listed},
};

/// So many operations are looked at for one part of a list, however few of them belong to it.
const LOOKED_AT: usize = 1_000;

type Place = (Timestamp, OperationId);

/// The operations that have an owner, by owner.
#[derive(Debug, Default)]
pub(super) struct Owned(DashMap<Owner, BTreeSet<Place>>);

impl Owned {
    pub(super) fn insert(&self, owner: &Owner, place: Place) {
        self.0.entry(owner.clone()).or_default().insert(place);
    }

    pub(super) fn remove(&self, owner: &Owner, place: Place) {
        if let Entry::Occupied(mut owned) = self.0.entry(owner.clone()) {
            owned.get_mut().remove(&place);
            if owned.get().is_empty() {
                owned.remove();
            }
        }
    }

    /// Copied, so that nobody waits while the operations themselves are looked at.
    fn newest(&self, owner: &Owner, after: Option<Place>, count: usize) -> Vec<Place> {
        let Some(owned) = self.0.get(owner) else { return Vec::new() };
        let candidates = match after {
            Some(after) => owned.range(..after),
            None => owned.range(..),
        };
        candidates.rev().take(count).copied().collect()
    }
}

impl MemoryStore {
    /// The owner's operations, newest first, at most `limit` of them. There may be fewer although more follow, as no
    /// more than a bounded number is looked at.
    pub(crate) fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> Listed {
        let candidates = self.owned.newest(owner, filter.after, limit.max(LOOKED_AT) + 1);
        let mut listed = Listed::default();
        let mut last = None;
        for (created, id) in candidates.iter().copied().take(candidates.len().min(limit.max(LOOKED_AT))) {
            if listed.operations.len() == limit {
                break;
            }
            last = Some((created, id));
            let snapshot = self.read(id, Some(owner));
            listed.operations.extend(snapshot.filter(|found| filter.state.is_none_or(|state| found.state() == state)));
        }
        listed.next = last.filter(|last| candidates.last() != Some(last));
        listed
    }
}
