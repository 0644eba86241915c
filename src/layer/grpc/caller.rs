//! The client of a gRPC call: what it has asked for, what it reads, how long it waits.

use http::{HeaderMap, HeaderName};
use tonic::codec::CompressionEncoding;

use crate::{
    hub::LATENESS,
    layer::submission::{Noted, Patience},
    longrunning::timeout::time_to_answer,
    policy::{OnBudget, Policy},
};

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What is to be known of the client of a call.
#[derive(Clone, Copy, Debug)]
pub(in crate::layer) struct Caller {
    /// It has asked for an operation in place of the method's own message.
    pub(in crate::layer) prefers_operation: bool,
    gzip: bool,
    deflate: bool,
    zstd: bool,
}

impl Caller {
    pub(super) fn of(patience: Patience, headers: &HeaderMap) -> Self {
        let encodings = || {
            headers.get_all(GRPC_ACCEPT_ENCODING).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        };
        let reads = |name: &[u8]| encodings().any(|encoding| encoding.trim_ascii() == name);
        Self {
            prefers_operation: patience.prefers_operation(),
            gzip: reads(b"gzip"),
            deflate: reads(b"deflate"),
            zstd: reads(b"zstd"),
        }
    }

    /// The encoding of this name, where the client reads it.
    pub(super) fn reads(self, name: &[u8]) -> Option<CompressionEncoding> {
        match name {
            b"gzip" if self.gzip => Some(CompressionEncoding::Gzip),
            b"deflate" if self.deflate => Some(CompressionEncoding::Deflate),
            b"zstd" if self.zstd => Some(CompressionEncoding::Zstd),
            _ => None,
        }
    }
}

/// How long a call waits in line: never past what its client allows, so that the client is answered before it gives up,
/// and without end where it could not be told of an operation.
pub(super) fn patience(policy: &Policy, noted: Noted, headers: &HeaderMap) -> Patience {
    let mut patience = Patience::of(policy, noted, headers);
    let may_leave = patience.prefers_operation() || policy.on_budget == OnBudget::Status;
    patience.budget = patience
        .budget
        .filter(|_| may_leave)
        .map(|budget| time_to_answer(headers).map_or(budget, |due| due.saturating_sub(LATENESS).min(budget)));
    patience
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, Method};

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn budget(policy: &Policy, fields: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers(fields);
        patience(policy, Noted::of(&Method::POST, &headers), &headers).budget
    }

    #[test]
    fn a_call_that_cannot_be_told_of_an_operation_waits_for_ever() {
        let policy = Policy::new().budget(Duration::from_secs(1));
        assert_eq!(budget(&policy, &[]), None);
        assert_eq!(budget(&policy, &[("prefer", "wait=5"), ("grpc-timeout", "1S")]), None);
        assert_eq!(budget(&policy.on_budget(OnBudget::Status), &[]), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_call_is_answered_before_its_client_gives_up() {
        let asks = ("prefer", "respond-async, wait=20");
        let policy = Policy::new();
        assert_eq!(budget(&policy, &[asks]), Some(Duration::from_secs(20)));
        for (timeout, expected) in
            [("1M", 20_000_000), ("10S", 9_492_000), ("2S", 1_792_000), ("0S", 0), ("1s", 20_000_000)]
        {
            let found = budget(&policy, &[asks, ("grpc-timeout", timeout)]);
            assert_eq!(found, Some(Duration::from_micros(expected)), "{timeout}");
        }
        let status = Policy::new().on_budget(OnBudget::Status);
        for (timeout, expected) in [("100m", 72), ("50m", 22), ("20m", 2), ("10m", 0)] {
            assert_eq!(
                budget(&status, &[("grpc-timeout", timeout)]),
                Some(Duration::from_millis(expected)),
                "{timeout}"
            );
        }
    }

    #[test]
    fn only_what_a_client_says_it_reads_is_sent() {
        let reads = |lines: &[(&'static str, &str)], name: &[u8]| {
            let headers = headers(lines);
            Caller::of(Patience::of(&Policy::new(), Noted::default(), &headers), &headers).reads(name)
        };
        let lines = [("grpc-accept-encoding", "identity, gzip"), ("grpc-accept-encoding", "zstd")];
        assert_eq!(reads(&lines[..1], b"gzip"), Some(CompressionEncoding::Gzip));
        assert_eq!(reads(&lines[1..], b"zstd"), Some(CompressionEncoding::Zstd));
        assert_eq!(reads(&lines[..1], b"zstd"), None);
        assert_eq!(reads(&[], b"gzip"), None);
        assert_eq!(reads(&[("grpc-accept-encoding", "snappy")], b"snappy"), None);
    }
}
