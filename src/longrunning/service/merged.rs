//! One page out of several lists, each of which may have come less far than the others.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::store::Listed;

/// The newest `size` operations of these lists, as far as none of them can have more in between. What is in two of them
/// is there once.
pub(super) fn merged(lists: Vec<Listed>, size: usize) -> Listed {
    // How far every list has come at least.
    let seen_to = lists.iter().filter_map(|list| list.next).max();
    let mut found = BTreeMap::new();
    for snapshot in lists.into_iter().flat_map(|list| list.operations) {
        found.insert(Reverse((snapshot.created, snapshot.id)), snapshot);
    }
    found.retain(|Reverse(place), _| seen_to.is_none_or(|seen_to| *place >= seen_to));
    let last_of_more = found.keys().take(size).next_back().filter(|_| found.len() > size);
    let next = last_of_more.map(|Reverse(last)| *last).or(seen_to);
    Listed { operations: found.into_values().take(size).collect(), next }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        operation::{Life, OperationId, Timestamp},
        policy::{Policy, Terms},
        store::Snapshot,
    };

    type Place = (Timestamp, OperationId);

    fn place(number: u8) -> Place {
        // Several are as old as each other.
        (Timestamp::from_millis(u64::from(number / 3)), OperationId::from_bytes([number; 16]))
    }

    fn snapshot((created, id): Place) -> Snapshot {
        let terms = Arc::new(Terms::new("route".into(), Policy::new()));
        let (now, life, progress, failed_attempts, end) = (created, Life::RUNNING, None, Vec::new(), None);
        Snapshot { id, created, now, terms, life, progress, failed_attempts, end }
    }

    /// A store's list of these, which may end early but not without a step forward.
    fn listed(of: &[u8], after: Option<Place>, size: usize, looks_at: usize) -> Listed {
        let mut rest: Vec<_> = of.iter().map(|number| place(*number)).collect();
        rest.sort_unstable_by(|one, other| other.cmp(one));
        rest.dedup();
        rest.retain(|place| after.is_none_or(|after| *place < after));
        let more = rest.len() > size.min(looks_at);
        rest.truncate(size.min(looks_at));
        Listed { next: rest.last().copied().filter(|_| more), operations: rest.into_iter().map(snapshot).collect() }
    }

    proptest! {
        #[test]
        fn all_are_found_once_and_in_order(
            lists in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), 1..9_usize), 1..4), size in 1..9_usize,
        ) {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = lists.iter().map(|(of, looks_at)| listed(of, after, size, *looks_at)).collect();
                let page = merged(page, size);
                prop_assert!(page.operations.len() <= size);
                found.extend(page.operations.iter().map(|snapshot| (snapshot.created, snapshot.id)));
                if page.next.is_none() {
                    break;
                }
                prop_assert!(after.is_none_or(|after| page.next < Some(after)), "it goes on");
                after = page.next;
            }
            let mut all: Vec<_> = lists.iter().flat_map(|(of, _)| of).map(|number| place(*number)).collect();
            all.sort_unstable_by(|one, other| other.cmp(one));
            all.dedup();
            prop_assert_eq!(found, all);
        }
    }
}
