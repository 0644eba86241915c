//! Terms as bytes, for stores that keep them outside this process: what is still asked for once an operation has been
//! accepted.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Completion, Policy, Terms};
use crate::operation::record::{self, RecordError};

/// The versions of a record, of which each release reads those of the ones before it, and writes the oldest that says
/// all there is, so that those that are still there during an upgrade read it too.
#[derive(Deserialize, Serialize)]
enum Record<N> {
    V1(Fields<N>),
    /// Of a gRPC method, whose replies are of this type.
    V2(Fields<N>, N),
}

#[derive(Deserialize, Serialize)]
struct Fields<N> {
    name: N,
    completion: Completion,
    follow_created: bool,
    honor_wait: bool,
    longest_wait: Duration,
    retention: Duration,
    max_run_time: Option<Duration>,
    max_reply: u64,
    handle: bool,
    durable: bool,
    max_attempts: u32,
    backoff: Duration,
}

impl Terms {
    /// The terms as a record.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        let policy = &self.policy;
        let fields = Fields {
            name: &*self.name,
            completion: policy.completion,
            follow_created: policy.follow_created,
            honor_wait: policy.honor_wait,
            longest_wait: policy.longest_wait,
            retention: policy.retention,
            max_run_time: policy.max_run_time,
            max_reply: policy.max_reply as u64,
            handle: policy.handle,
            durable: policy.is_durable,
            max_attempts: policy.max_attempts,
            backoff: policy.backoff,
        };
        let record = match &policy.response_type {
            None => Record::V1(fields),
            Some(name) => Record::V2(fields, &**name),
        };
        record::write(&record, 0, |_| {})
    }

    /// The terms that were written as this record. They know nothing yet of how long the route's operations take.
    ///
    /// # Errors
    ///
    /// Says so where it is no such record.
    pub fn from_record(record: &[u8]) -> Result<Self, RecordError> {
        let (record, _) = record::read::<Record<Box<str>>>(record)?;
        let (fields, response_type) = match record {
            Record::V1(fields) => (fields, None),
            Record::V2(fields, response_type) => (fields, Some(Arc::from(response_type))),
        };
        let Fields {
            name,
            completion,
            follow_created,
            honor_wait,
            longest_wait,
            retention,
            max_run_time,
            max_reply,
            handle,
            durable,
            max_attempts,
            backoff,
        } = fields;
        let policy = Policy {
            completion,
            follow_created,
            honor_wait,
            longest_wait,
            retention,
            max_run_time,
            response_type,
            max_reply: usize::try_from(max_reply).unwrap_or(usize::MAX),
            handle,
            is_durable: durable,
            max_attempts,
            backoff,
            ..Policy::default()
        };
        Ok(Self::new(Arc::from(name), policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        let policy = Policy { is_durable: true, max_run_time: None, ..Policy::default() };
        let policy = policy.completion(Completion::Replay).follow_created(true).retention(Duration::from_millis(1_234));
        Terms::new("/renders/{id}".into(), policy)
    }

    #[test]
    fn terms_come_out_of_their_records_again() {
        let (kept, terms) = (Terms::from_record(&terms().to_record()).unwrap(), terms());
        assert_eq!((kept.name, kept.policy), (terms.name, terms.policy));
    }

    /// A record of version 2, as it was first written.
    #[test]
    fn the_terms_of_a_grpc_method_are_read() {
        let mut terms = terms();
        terms.policy.response_type = Some("renders.v1.Picture".into());
        let golden = include_bytes!("record/terms.v2");
        assert_eq!(terms.to_record(), golden);
        let kept = Terms::from_record(golden).unwrap();
        assert_eq!((kept.name, kept.policy), (terms.name, terms.policy));
    }

    /// A record of version 1, as the first release wrote it.
    #[test]
    fn the_first_releases_records_are_read() {
        let (kept, terms) = (Terms::from_record(include_bytes!("record/terms.v1")).unwrap(), terms());
        assert_eq!((kept.name, kept.policy), (terms.name, terms.policy));
    }
}
