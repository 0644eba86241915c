//! What there is to say of an operation beyond its result.

use prost::Name;
use prost_types::Any;

use super::{
    messages::{self, OperationMetadata, operation_metadata},
    status::any,
};
use crate::{
    operation::{Progress, State, Timestamp},
    store::{FailedAttempt, Snapshot},
};

/// Of an operation that is in the store.
pub(super) fn of(snapshot: &Snapshot) -> Any {
    let end = snapshot.end.as_ref().map(|end| end.at);
    let expiry = end.map(|end| end.after(snapshot.terms.policy.retention));
    packed(&OperationMetadata {
        route: snapshot.terms.name.to_string(),
        state: state(snapshot.state()).into(),
        create_time: Some(timestamp(snapshot.created)),
        end_time: end.map(timestamp),
        expire_time: expiry.map(timestamp),
        progress: snapshot.progress.as_ref().map(|report| progress(&report.progress)),
        attempt: snapshot.life.attempt,
        failed_attempts: snapshot.failed_attempts.iter().map(failed_attempt).collect(),
    })
}

pub(super) fn packed(metadata: &OperationMetadata) -> Any {
    any(&OperationMetadata::full_name(), metadata)
}

pub(super) fn state(state: State) -> operation_metadata::State {
    match state {
        State::Queued => operation_metadata::State::Queued,
        State::Running => operation_metadata::State::Running,
        State::Succeeded => operation_metadata::State::Succeeded,
        State::Failed => operation_metadata::State::Failed,
        State::Canceled => operation_metadata::State::Canceled,
    }
}

pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    // The last moment that `google.protobuf.Timestamp` may say: the end of the year 9999.
    const LAST: u64 = 253_402_300_799_999;
    let millis = time.as_millis().min(LAST);
    prost_types::Timestamp { seconds: (millis / 1_000) as i64, nanos: (millis % 1_000) as i32 * 1_000_000 }
}

pub(super) fn progress(progress: &Progress) -> messages::Progress {
    messages::Progress { fraction: progress.fraction(), message: progress.text().to_owned() }
}

fn failed_attempt(failed: &FailedAttempt) -> messages::FailedAttempt {
    messages::FailedAttempt {
        number: failed.number,
        reason: failed.failure.as_str().to_owned(),
        fail_time: Some(timestamp(failed.at)),
    }
}
