//! What the checks are played on: the store, and what they put there.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use tokio::time::{Instant, sleep};

use super::{
    Replicas, Violation,
    violation::{Checked, hold},
};
use crate::{
    Policy,
    operation::{
        Ending, Failure, Key, OperationId, Owner, Progress, Reply, ReplyBuilder, Report, StoredRequest, Timestamp,
    },
    policy::Terms,
    store::contract::{Attempt, Claimed, Created, LeaseId, NewOperation, Part, Snapshot, Store, Swept},
};

/// Longer than any check takes.
pub(super) const LONG: Duration = Duration::from_secs(60 * 60);

/// What is waited for in vain: leases and retentions that are to be over soon.
pub(super) const SHORT: Duration = Duration::from_millis(200);

/// How long to wait for what must come about.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);

/// A store, over two connections.
#[derive(Debug)]
pub(super) struct Stage {
    /// Where most is done.
    pub(super) store: Arc<dyn Store>,
    /// Where most is looked at.
    pub(super) other: Arc<dyn Store>,
    /// A long lease, where the store knows leases.
    pub(super) lease: Option<LeaseId>,
    /// An operation that tells what time it is.
    clock: OperationId,
}

impl Stage {
    pub(super) async fn new(replicas: Replicas) -> Result<Self, Violation> {
        let Replicas { one: store, another: other, leases, .. } = replicas;
        let lease = match leases {
            true => Some(store.open_lease(LONG, Vec::new()).await?.id),
            false => None,
        };
        let stage = Self { store, other, lease, clock: OperationId::random() };
        let clock = Draft { id: stage.clock, ..operation().owned_by("the clock").under(stage.lease) };
        stage.create(clock).await?;
        Ok(stage)
    }

    /// One connection or the other.
    pub(super) fn either(&self, number: usize) -> Arc<dyn Store> {
        Arc::clone(if number.is_multiple_of(2) { &self.store } else { &self.other })
    }

    /// Creates what must be new.
    pub(super) async fn create(&self, draft: Draft) -> Result<OperationId, Violation> {
        let id = draft.id;
        match self.store.create(draft.build()).await? {
            Created::New { .. } => Ok(id),
            other => Err(Violation::new(format!("a new operation was not created: {other:?}"))),
        }
    }

    /// An operation that runs as its first attempt.
    pub(super) async fn running(&self, draft: Draft) -> Result<Attempt, Violation> {
        let operation = self.create(draft.under(self.lease)).await?;
        Ok(Attempt { operation, number: 1 })
    }

    /// An operation that has ended with this reply.
    pub(super) async fn ended(&self, draft: Draft, reply: Reply) -> Result<OperationId, Violation> {
        let attempt = self.running(draft).await?;
        self.store.finish(attempt, Arc::new(reply)).await?;
        Ok(attempt.operation)
    }

    /// The long lease of a store that knows leases.
    pub(super) fn long_lease(&self) -> Result<LeaseId, Violation> {
        self.lease.ok_or_else(|| Violation::new("there is no lease"))
    }

    /// Claims what must be the only operation to claim.
    pub(super) async fn claim(&self) -> Result<Claimed, Violation> {
        let mut claimed = self.store.claim(self.long_lease()?, 2).await?;
        match (claimed.pop(), claimed.is_empty()) {
            (Some(only), true) => Ok(only),
            (only, _) => {
                Err(Violation::new(format!("expected one operation to claim, found {only:?} and {claimed:?}")))
            }
        }
    }

    /// Claims one operation as soon as its time has come.
    pub(super) async fn claim_in_time(&self) -> Result<Claimed, Violation> {
        let lease = self.long_lease()?;
        eventually("an operation can be claimed", async || Ok(self.store.claim(lease, 1).await?.pop())).await
    }

    /// What the other connection knows of an operation that must be there.
    pub(super) async fn read(&self, id: OperationId) -> Result<Snapshot, Violation> {
        let found = self.other.read(id, Some(&owner()), Part::Reply).await?;
        found.ok_or_else(|| Violation::new(format!("operation {id} is unknown")))
    }

    /// The store's time.
    pub(super) async fn now(&self) -> Result<Timestamp, Violation> {
        let clock = self.other.read(self.clock, Some(&Owner::new("the clock")), Part::Status).await?;
        Ok(clock.ok_or_else(|| Violation::new("an operation that runs is unknown"))?.now)
    }

    /// Waits until so much time has passed for the store from now on.
    pub(super) async fn pass(&self, duration: Duration) -> Checked {
        let until = self.now().await?.after(duration);
        eventually("time passes", async || Ok((self.now().await? > until).then_some(()))).await
    }

    /// A lease that is over, which nobody has noticed, and under which these are held.
    pub(super) async fn over(&self, running: Vec<Attempt>) -> Result<LeaseId, Violation> {
        let opened = self.store.open_lease(SHORT, running).await?;
        hold!(opened.lost.is_empty(), "attempts that run were not brought along: {:?}", opened.lost);
        self.pass(SHORT).await?;
        Ok(opened.id)
    }

    /// Sweeps until there is no more to sweep.
    pub(super) async fn sweep(&self) -> Result<Swept, Violation> {
        let mut all = Swept::default();
        for _ in 0..1_000 {
            let swept = self.store.sweep(100).await?;
            all.expired.extend(swept.expired);
            all.ended.extend(swept.ended);
            all.queued.extend(swept.queued);
            if !swept.more {
                return Ok(all);
            }
        }
        Err(Violation::new("there is always more to sweep"))
    }
}

/// Looks until there is something.
pub(super) async fn eventually<T>(
    what: &str,
    look: impl AsyncFn() -> Result<Option<T>, Violation>,
) -> Result<T, Violation> {
    let started = Instant::now();
    loop {
        match look().await? {
            Some(found) => return Ok(found),
            None if started.elapsed() < PATIENCE => sleep(PAUSE).await,
            None => return Err(Violation::new(format!("waited in vain until {what}"))),
        }
    }
}

/// Whose most operations are.
pub(super) fn owner() -> Owner {
    Owner::new("ann")
}

/// Somebody else.
pub(super) fn stranger() -> Owner {
    Owner::new("bob")
}

/// An operation to be created.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: OperationId,
    pub(super) owner: Option<Owner>,
    pub(super) route: Arc<str>,
    pub(super) policy: Policy,
    pub(super) key: Option<Key>,
    pub(super) request: Option<StoredRequest>,
    pub(super) lease: Option<LeaseId>,
}

/// An operation that is not durable, and runs under no lease.
pub(super) fn operation() -> Draft {
    Draft {
        id: OperationId::random(),
        owner: Some(owner()),
        route: Arc::from("/renders/{id}"),
        policy: Policy::new().retention(LONG).without_max_run_time(),
        key: None,
        request: None,
        lease: None,
    }
}

/// An operation that waits to be claimed, and may be tried twice, without a rest.
pub(super) fn durable() -> Draft {
    let request = StoredRequest::new(Method::POST, Uri::from_static("/renders/4"), HeaderMap::new(), Bytes::new());
    operation().asking(request).attempts(2, Duration::ZERO)
}

impl Draft {
    pub(super) fn owned_by(self, owner: impl Into<Owner>) -> Self {
        Self { owner: Some(owner.into()), ..self }
    }

    pub(super) fn on(self, route: &str) -> Self {
        Self { route: Arc::from(route), ..self }
    }

    pub(super) fn under(self, lease: Option<LeaseId>) -> Self {
        Self { lease, ..self }
    }

    pub(super) fn keyed(self, name: u8, request: u8) -> Self {
        Self { key: Some(Key { name: [name; 16], request: [request; 16] }), ..self }
    }

    pub(super) fn retention(self, retention: Duration) -> Self {
        Self { policy: self.policy.retention(retention), ..self }
    }

    pub(super) fn max_run_time(self, longest: Duration) -> Self {
        Self { policy: self.policy.max_run_time(longest), ..self }
    }

    pub(super) fn attempts(self, max_attempts: u32, backoff: Duration) -> Self {
        let policy = Policy { is_durable: true, max_attempts, backoff, ..self.policy };
        Self { policy, ..self }
    }

    pub(super) fn asking(self, request: StoredRequest) -> Self {
        Self { request: Some(request), ..self }
    }

    /// Another operation, the same in all but its id.
    pub(super) fn again(&self) -> Self {
        Self { id: OperationId::random(), ..self.clone() }
    }

    pub(super) fn build(self) -> NewOperation {
        let Self { id, owner, route, policy, key, request, lease } = self;
        NewOperation { id, owner, terms: Arc::new(Terms::new(route, policy)), key, request, lease }
    }
}

/// A handler's reply.
pub(super) fn reply(status: StatusCode, body: &[u8]) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    full_reply(status, &headers, body, None)
}

/// A handler's reply with all that it may have.
pub(super) fn full_reply(status: StatusCode, headers: &HeaderMap, body: &[u8], trailers: Option<&HeaderMap>) -> Reply {
    let built = ReplyBuilder::new(Ending::Replied, status, headers, body.len()).and_then(|mut reply| {
        reply.extend(body);
        reply.build(trailers)
    });
    // What is not absurdly large can be built.
    built.unwrap_or_else(|| Reply::none(Ending::Failed(Failure::ReplyTooLarge)))
}

pub(super) fn report(number: u64) -> Report {
    Report { number, progress: Progress::new(0.5).message(format!("step {number}")) }
}

/// An attempt of an operation that is not there.
pub(super) fn nowhere() -> Attempt {
    Attempt { operation: OperationId::random(), number: 1 }
}
