//! How many operations may run at once: in all, and for each owner.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};
use tokio::sync::Notify;

use crate::{operation::Owner, policy::Limit};

#[derive(Debug)]
pub(super) struct Permits {
    running: AtomicUsize,
    limit: usize,
    by_owner: DashMap<Owner, usize>,
    limit_per_owner: usize,
    idle: Notify,
}

/// The right to run one operation; given back with [`Permits::release`].
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Permit(Option<Owner>);

impl Permits {
    pub(super) fn new(limit: usize, limit_per_owner: usize) -> Self {
        Self { running: AtomicUsize::new(0), limit, by_owner: DashMap::new(), limit_per_owner, idle: Notify::new() }
    }

    pub(super) fn acquire(&self, owner: Option<&Owner>) -> Result<Permit, Limit> {
        let below_limit = |running: usize| (running < self.limit).then_some(running + 1);
        self.running.fetch_update(Ordering::SeqCst, Ordering::Relaxed, below_limit).map_err(|_| Limit::Operations)?;
        if owner.is_none_or(|owner| self.count(owner)) {
            Ok(Permit(owner.cloned()))
        } else {
            self.release(Permit(None));
            Err(Limit::OperationsPerOwner)
        }
    }

    /// Counts what a permit of nobody is for as this owner's. It may exceed what the owner may begin: it was begun
    /// before.
    #[cfg(feature = "durable")]
    pub(super) fn assign(&self, Permit(nobody): Permit, owner: Option<&Owner>) -> Permit {
        if let Some(owner) = owner.filter(|_| self.limits_owners()) {
            *self.by_owner.entry(owner.clone()).or_insert(0) += 1;
        }
        Permit(nobody.or_else(|| owner.cloned()))
    }

    pub(super) fn release(&self, Permit(owner): Permit) {
        let limited = owner.filter(|_| self.limits_owners());
        if let Some(Entry::Occupied(mut count)) = limited.map(|owner| self.by_owner.entry(owner)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
    }

    /// Whether there is a permit to be had, for one who has no other.
    pub(super) fn has_room(&self) -> bool {
        self.running() < self.limit
    }

    /// How many operations run.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// Waits until none runs.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.running() == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Whether it matters whose the operations are.
    fn limits_owners(&self) -> bool {
        self.limit_per_owner < usize::MAX
    }

    fn count(&self, owner: &Owner) -> bool {
        if !self.limits_owners() {
            return true;
        }
        let mut count = self.by_owner.entry(owner.clone()).or_insert(0);
        let below_limit = *count < self.limit_per_owner;
        if below_limit {
            *count += 1;
        }
        below_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r7_no_more_permits_than_the_limits() {
        let permits = Permits::new(3, 2);
        let (ann, bob) = (Owner::new("ann"), Owner::new("bob"));
        let first = permits.acquire(Some(&ann)).unwrap();
        let _second = permits.acquire(Some(&ann)).unwrap();
        assert_eq!(permits.acquire(Some(&ann)).unwrap_err(), Limit::OperationsPerOwner);
        let _third = permits.acquire(Some(&bob)).unwrap();
        assert_eq!(permits.acquire(Some(&bob)).unwrap_err(), Limit::Operations);
        assert_eq!(permits.acquire(None).unwrap_err(), Limit::Operations);
        permits.release(first);
        assert_eq!(permits.running(), 2);
        let _fourth = permits.acquire(Some(&ann)).unwrap();
    }

    #[cfg(feature = "durable")]
    #[test]
    fn r7_what_is_claimed_counts_for_its_owner_and_is_never_refused() {
        let permits = Permits::new(usize::MAX, 1);
        let (ann, bob) = (Owner::new("ann"), Owner::new("bob"));
        let claimed = [(); 2].map(|()| permits.assign(permits.acquire(None).unwrap(), Some(&ann)));
        assert_eq!(permits.acquire(Some(&ann)).unwrap_err(), Limit::OperationsPerOwner);
        let _other = permits.acquire(Some(&bob)).unwrap();
        let [first, second] = claimed;
        permits.release(first);
        assert_eq!(permits.acquire(Some(&ann)).unwrap_err(), Limit::OperationsPerOwner);
        permits.release(second);
        let _mine = permits.acquire(Some(&ann)).unwrap();
        assert_eq!(permits.running(), 2);
    }

    #[test]
    fn owners_without_operations_are_forgotten() {
        let permits = Permits::new(usize::MAX, 1);
        let owner = Owner::new("ann");
        let permit = permits.acquire(Some(&owner)).unwrap();
        permits.release(permit);
        assert!(permits.by_owner.is_empty());
    }
}
