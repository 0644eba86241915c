//! How operations come into the store: once under each key, below its limits, and running or queued.

use std::sync::atomic::Ordering;

use dashmap::{DashMap, Entry};

use super::{
    MemoryStore,
    record::{Record, Stage},
};
use crate::{
    operation::{Key, OperationId, Refused},
    policy::Terms,
    store::{Created, NewOperation, StoreError},
};

/// The operation under each key's name.
///
/// Whoever holds a name may look at operations; whoever holds an operation never looks at names.
pub(super) type Keys = DashMap<[u8; 16], OperationId>;

impl MemoryStore {
    /// Keeps a new operation, unless its key is taken, or the store is full. Once this has returned, every other method
    /// knows the operation (R2).
    pub(crate) fn create(&self, operation: NewOperation) -> Result<Created, StoreError> {
        match operation.key {
            None => self.insert(operation),
            Some(key) => self.insert_once(key, operation),
        }
    }

    /// Holds the key's name meanwhile, so that of many who come with it only one creates an operation.
    fn insert_once(&self, key: Key, operation: NewOperation) -> Result<Created, StoreError> {
        let name = self.extended.keys.entry(key.name);
        if let Entry::Occupied(taken) = &name
            && let Some(found) = self.under(key, *taken.get())
        {
            return Ok(found);
        }
        let id = operation.id;
        let created = self.insert(operation)?;
        name.insert(id);
        Ok(created)
    }

    /// The operation that has the key's name, if it has it still.
    fn under(&self, key: Key, id: OperationId) -> Option<Created> {
        let now = self.clock.now();
        let record = self.operations.get(&id).filter(|record| !record.is_expired(now))?;
        match record.extended().and_then(|extended| extended.key) == Some(key) {
            true => Some(Created::Existing(record.snapshot(id, now))),
            false => Some(Created::KeyTaken),
        }
    }

    fn insert(&self, operation: NewOperation) -> Result<Created, StoreError> {
        self.take_place(&operation.terms)?;
        let (id, created) = (operation.id, self.clock.now());
        if let Some(owner) = &operation.owner {
            self.owned.insert(owner, (created, id));
        }
        self.put(id, Box::new(Record::new(operation, created)))?;
        Ok(Created::New { at: created })
    }

    fn put(&self, id: OperationId, record: Box<Record>) -> Result<(), StoreError> {
        let Entry::Vacant(place) = self.operations.entry(id) else {
            self.give_place_back(id, &record);
            return Err(StoreError::Unsupported("another operation of the same id"));
        };
        if let Err(refused) = self.enlist(id, &record) {
            self.give_place_back(id, &record);
            return Err(refused.into());
        }
        // Held until it is scheduled, too: its owner may find it in the list already, and end it.
        let record = place.insert(record);
        self.schedule(id, &record);
        Ok(())
    }

    /// Has the operation's lease or the queue know it.
    fn enlist(&self, id: OperationId, record: &Record) -> Result<(), Refused> {
        let Some(extended) = record.extended() else { return Ok(()) };
        if let Some(lease) = extended.lease {
            self.extended.leases.hold(lease, id, record.created)?;
        }
        if matches!(record.stage(), Stage::Queued) {
            self.extended.queue.insert(id, record, extended.since, record.created);
        }
        Ok(())
    }

    fn take_place(&self, terms: &Terms) -> Result<(), StoreError> {
        let below_limit = |count: usize| (count < self.limits.operations).then_some(count + 1);
        let is_taken = self.has_headroom(terms)
            && self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below_limit).is_ok();
        if is_taken { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Whether a large reply would still fit, so that an operation is not accepted only to lose its reply.
    fn has_headroom(&self, terms: &Terms) -> bool {
        let headroom = terms.policy.max_reply.min(self.limits.bytes / 8);
        self.kept_bytes.load(Ordering::Relaxed).saturating_add(headroom) <= self.limits.bytes
    }

    pub(super) fn give_place_back(&self, id: OperationId, record: &Record) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(owner) = &record.owner {
            self.owned.remove(owner, (record.created, id));
        }
    }
}
