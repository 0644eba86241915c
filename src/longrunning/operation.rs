//! Operations as `google.longrunning.Operation` has them.

use std::sync::Arc;

use super::{
    messages::{Operation, OperationMetadata},
    metadata, name, outcome,
};
use crate::{
    operation::{OperationId, Progress, Reply, State, Timestamp},
    policy::Terms,
    store::Snapshot,
};

/// An operation that was read whole.
pub(crate) fn of(snapshot: &Snapshot) -> Operation {
    Operation {
        name: name::of(snapshot.id),
        metadata: Some(metadata::of(snapshot)),
        done: snapshot.end.is_some(),
        result: snapshot
            .end
            .as_ref()
            .map(|end| outcome::of(end, &snapshot.terms.policy, snapshot.terms.policy.max_reply)),
    }
}

/// An operation that was accepted a moment ago, and has not ended.
pub(crate) fn accepted(
    id: OperationId,
    terms: &Terms,
    state: State,
    created: Timestamp,
    progress: Option<&Progress>,
) -> Operation {
    let metadata = OperationMetadata {
        create_time: Some(metadata::timestamp(created)),
        progress: progress.map(metadata::progress),
        attempt: (state == State::Running).into(),
        ..begun(terms, state)
    };
    Operation { name: name::of(id), metadata: Some(metadata::packed(&metadata)), done: false, result: None }
}

/// An operation that was done before it had to be accepted, so that nothing is known of it but its reply.
pub(crate) fn in_line(id: OperationId, terms: &Terms, reply: &Arc<Reply>) -> Operation {
    Operation {
        name: name::of(id),
        metadata: Some(metadata::packed(&begun(terms, reply.state()))),
        done: true,
        result: Some(outcome::of(reply, &terms.policy, terms.policy.max_reply)),
    }
}

fn begun(terms: &Terms, state: State) -> OperationMetadata {
    OperationMetadata {
        route: terms.name.to_string(),
        state: metadata::state(state).into(),
        ..OperationMetadata::default()
    }
}

#[cfg(test)]
mod tests;
