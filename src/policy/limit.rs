//! The limits that can keep a request from being detached, and what happens then.

/// A limit that keeps a request from being detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// How many operations may be in flight at once.
    Operations,
    /// How many operations of one owner may be in flight at once.
    OperationsPerOwner,
    /// How many operations may be kept, running and ended, and how many bytes of their replies.
    KeptReplies,
    /// How much of a request body still arriving may be read into memory
    /// ([`Policy::max_request_body`](super::Policy::max_request_body)).
    RequestBody,
}

/// What happens to a request that would be detached when a [`Limit`] forbids it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AtLimit {
    /// The client waits for the reply, as it would without the layer.
    #[default]
    StayInLine,
    /// The handler is dropped and the client gets `503 Service Unavailable` with `Retry-After`; over gRPC,
    /// `RESOURCE_EXHAUSTED` with a `google.rpc.RetryInfo`.
    Unavailable,
}

/// What each limit of a policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AtLimits {
    operations: AtLimit,
    operations_per_owner: AtLimit,
    kept_replies: AtLimit,
    request_body: AtLimit,
}

impl AtLimits {
    /// The same at every limit.
    pub(crate) const fn every(at: AtLimit) -> Self {
        Self { operations: at, operations_per_owner: at, kept_replies: at, request_body: at }
    }

    pub(crate) const fn get(self, limit: Limit) -> AtLimit {
        match limit {
            Limit::Operations => self.operations,
            Limit::OperationsPerOwner => self.operations_per_owner,
            Limit::KeptReplies => self.kept_replies,
            Limit::RequestBody => self.request_body,
        }
    }

    pub(crate) const fn get_mut(&mut self, limit: Limit) -> &mut AtLimit {
        match limit {
            Limit::Operations => &mut self.operations,
            Limit::OperationsPerOwner => &mut self.operations_per_owner,
            Limit::KeptReplies => &mut self.kept_replies,
            Limit::RequestBody => &mut self.request_body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    const LIMITS: [Limit; 4] = [Limit::Operations, Limit::OperationsPerOwner, Limit::KeptReplies, Limit::RequestBody];

    #[test]
    fn a_request_stays_in_line_at_every_limit_unless_told_otherwise() {
        for limit in LIMITS {
            assert_eq!(Policy::new().at(limit), AtLimit::StayInLine, "{limit:?}");
        }
    }

    #[test]
    fn each_limit_is_set_alone() {
        for told in LIMITS {
            let policy = Policy::new().at_limit(told, AtLimit::Unavailable);
            for limit in LIMITS {
                let unavailable = policy.at(limit) == AtLimit::Unavailable;
                assert_eq!(unavailable, limit == told, "{told:?} {limit:?}");
            }
        }
    }

    #[test]
    fn all_limits_are_set_at_once() {
        let policy = Policy::new().at_every_limit(AtLimit::Unavailable);
        for limit in LIMITS {
            assert_eq!(policy.at(limit), AtLimit::Unavailable, "{limit:?}");
        }
    }
}
