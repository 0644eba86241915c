//! What operators see: `tracing` events for what happens to operations and, with the feature `metrics`, numbers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tracing::{debug, info};

use crate::{
    hub::Declined,
    operation::{Failure, OperationId, State},
    policy::{Limit, Terms},
    store::{Counts, Finished},
};

/// Tells, or does not: a subscriber that panics must not keep its caller from going on.
pub(crate) fn quietly(tell: impl FnOnce()) {
    let _told = catch_unwind(AssertUnwindSafe(tell));
}

/// Why a request was detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It exceeded its budget.
    Budget,
    /// Its client preferred not to wait, or to wait for so long only.
    Preference,
    /// Its client hung up, and the policy says to go on.
    Disconnect,
    /// Its client has named it, so that it is done once.
    Key,
    /// It is durable, and there is no room for it here.
    Queued,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Preference => "preference",
            Self::Disconnect => "disconnect",
            Self::Key => "idempotency-key",
            Self::Queued => "queued",
        }
    }
}

impl Declined {
    fn as_str(self) -> &'static str {
        match self {
            Self::Limit(Limit::Operations) => "operations",
            Self::Limit(Limit::OperationsPerOwner) => "operations-per-owner",
            Self::Limit(Limit::KeptReplies) => "kept-replies",
            Self::Limit(Limit::RequestBody) => "request-body",
            Self::ShuttingDown => "shutting-down",
            Self::NoRuntime => "no-runtime",
            Self::StoreUnavailable => "store-unavailable",
        }
    }
}

pub(crate) fn accepted(id: OperationId, terms: &Terms, reason: Reason) {
    let (route, reason) = (&*terms.name, reason.as_str());
    debug!(operation.id = %id, route, reason, "operation accepted");
    numbers::accepted(&terms.name, reason);
}

pub(crate) fn declined(terms: &Terms, declined: Declined) {
    let (route, reason) = (&*terms.name, declined.as_str());
    debug!(route, reason, "operation declined");
    numbers::declined(&terms.name, reason);
}

pub(crate) fn finished(id: OperationId, finished: &Finished) {
    let (route, state, run_time) = (&*finished.terms.name, finished.state.as_str(), finished.run_time);
    // Why there is no reply of the handler, else what its status is.
    let reason = finished.failure.map(Failure::as_str);
    let status = finished.status.filter(|_| reason.is_none()).map(|status| status.as_u16());
    match finished.state {
        State::Canceled => info!(operation.id = %id, route, ?run_time, "operation canceled"),
        _ => debug!(operation.id = %id, route, state, reason, status, ?run_time, "operation finished"),
    }
    numbers::finished(&finished.terms.name, state, run_time);
}

pub(crate) fn expired(id: OperationId) {
    debug!(operation.id = %id, "operation expired");
}

/// So many bytes of replies more are kept in this process.
pub(crate) fn kept(bytes: usize) {
    numbers::kept_bytes(bytes as f64);
}

/// So many are no longer kept.
pub(crate) fn forgotten(bytes: usize) {
    numbers::kept_bytes(-(bytes as f64));
}

/// So many operations there are in the store, of all replicas.
pub(crate) fn counted(counts: Counts) {
    let Counts { queued, running, succeeded, failed, canceled, reply_bytes } = counts;
    for (state, count) in [
        (State::Queued, queued),
        (State::Running, running),
        (State::Succeeded, succeeded),
        (State::Failed, failed),
        (State::Canceled, canceled),
    ] {
        numbers::stored(state.as_str(), count);
    }
    numbers::stored_bytes(reply_bytes);
}

/// One operation more, or one less, runs.
pub(crate) fn in_flight(change: i8) {
    numbers::in_flight(change);
}

#[cfg(feature = "metrics")]
mod numbers {
    use std::sync::Arc;

    use metrics::{counter, gauge, histogram};

    use super::Duration;

    pub(super) fn accepted(route: &Arc<str>, reason: &'static str) {
        counter!("respond_async_accepted_total", "route" => Arc::clone(route), "reason" => reason).increment(1);
    }

    pub(super) fn declined(route: &Arc<str>, reason: &'static str) {
        counter!("respond_async_declined_total", "route" => Arc::clone(route), "reason" => reason).increment(1);
    }

    pub(super) fn finished(route: &Arc<str>, state: &'static str, run_time: Duration) {
        histogram!("respond_async_run_time_seconds", "route" => Arc::clone(route), "state" => state).record(run_time);
    }

    // What changes here is not set, as two threads might do that in the wrong order.

    pub(super) fn kept_bytes(change: f64) {
        gauge!("respond_async_kept_bytes").increment(change);
    }

    pub(super) fn stored(state: &'static str, operations: u64) {
        gauge!("respond_async_stored_operations", "state" => state).set(operations as f64);
    }

    pub(super) fn stored_bytes(bytes: u64) {
        gauge!("respond_async_stored_bytes").set(bytes as f64);
    }

    pub(super) fn in_flight(change: i8) {
        gauge!("respond_async_in_flight").increment(change);
    }
}

#[cfg(not(feature = "metrics"))]
mod numbers {
    use std::sync::Arc;

    use super::Duration;

    pub(super) fn accepted(_: &Arc<str>, _: &'static str) {}
    pub(super) fn declined(_: &Arc<str>, _: &'static str) {}
    pub(super) fn finished(_: &Arc<str>, _: &'static str, _: Duration) {}
    pub(super) fn kept_bytes(_: f64) {}
    pub(super) fn stored(_: &'static str, _: u64) {}
    pub(super) fn stored_bytes(_: u64) {}
    pub(super) fn in_flight(_: i8) {}
}
