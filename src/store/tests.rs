//! What the tests of several stores ask for.

use super::{ListFilter, Store};
use crate::operation::{OperationId, Owner};

/// All of the owner's operations, by pages of so many.
pub(super) async fn all_listed(store: &dyn Store, owner: &Owner, page: usize) -> Vec<OperationId> {
    let (mut filter, mut all) = (ListFilter::default(), Vec::new());
    loop {
        let listed = store.list(owner, filter, page).await.unwrap();
        all.extend(listed.operations.iter().map(|found| found.id));
        filter.after = listed.next;
        if filter.after.is_none() {
            return all;
        }
    }
}
