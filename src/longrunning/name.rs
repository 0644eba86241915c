//! The names of operations: `operations/{id}`.

use crate::operation::{OperationId, id};

/// The collection that all operations are in, with the slash before their ids.
const COLLECTION: &str = "operations/";

/// The operation's name.
pub(crate) fn of(id: OperationId) -> String {
    [COLLECTION, id.encode(&mut [0; id::TEXT_LENGTH])].concat()
}

/// The operation of this name, which has one spelling.
pub(super) fn parse(name: &str) -> Option<OperationId> {
    name.strip_prefix(COLLECTION)?.parse().ok()
}

/// Whether operations are listed under this parent: the collection itself, or the service, which has no other.
pub(super) fn is_parent(name: &str) -> bool {
    matches!(name, "" | "operations")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_read_as_they_are_written(bytes: [u8; 16]) {
            let id = OperationId::from_bytes(bytes);
            prop_assert_eq!(parse(&of(id)), Some(id));
        }

        #[test]
        fn what_is_read_is_written_so(name in "(operations/)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\\PC*") {
            prop_assert!(parse(&name).is_none_or(|id| of(id) == name));
        }
    }
}
