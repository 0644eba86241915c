//! What is to be said of operations before there are any.

use std::{fmt, io, sync::Arc, time::Duration};

use http::request;

use super::Operations;
use crate::{
    http::address::{is_base_path, is_public_url},
    hub::{Hub, OwnerOf, Settings},
    operation::Owner,
    replica::ReplicaSettings,
    store::{MemoryLimits, MemoryStore, Store},
};

/// Makes [`Operations`].
#[derive(Clone)]
#[must_use]
pub struct OperationsBuilder {
    base_path: String,
    public_url: Option<String>,
    trust_forwarded: bool,
    owner_of: Option<OwnerOf>,
    max_operations: usize,
    max_operations_per_owner: usize,
    max_kept_operations: usize,
    max_kept_bytes: usize,
    store: Option<Arc<dyn Store>>,
    lease: Duration,
    max_waiting_bytes: usize,
    only_accepts: bool,
}

impl Default for OperationsBuilder {
    fn default() -> Self {
        Self {
            base_path: "/operations".to_owned(),
            public_url: None,
            trust_forwarded: false,
            owner_of: None,
            max_operations: 10_000,
            max_operations_per_owner: usize::MAX,
            max_kept_operations: 100_000,
            max_kept_bytes: 256 * 1024 * 1024,
            store: None,
            lease: Duration::from_secs(15),
            max_waiting_bytes: 64 * 1024 * 1024,
            only_accepts: false,
        }
    }
}

impl OperationsBuilder {
    /// Where the monitor is mounted, as clients see it; `/operations` by default. It starts with a slash, which may be
    /// all there is.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.base_path = path.into();
        self
    }

    /// The scheme and host, and maybe a path, under which clients reach this application, such as
    /// `https://api.example.com/v1`. With it, `Location` is a full URL, which some clients need; without it, a path.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Whether `Forwarded` (RFC 7239) and `X-Forwarded-Proto`, `-Host` and `-Prefix` of a request say under which URL
    /// clients reach this application; not by default. Only for applications that a proxy stands in front of which
    /// sets or removes each of them: `Forwarded` counts where it is present, and a client may have written it. A
    /// [public URL](Self::public_url) goes first.
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        self.trust_forwarded = trust;
        self
    }

    /// Tells the principal a request belongs to. Operations are then shown to the principal that began them and to
    /// nobody else, not even by the difference between another's operation and none; those of requests without a
    /// principal are shown to requests without one.
    ///
    /// It is called for each request that may become an operation and for each request to the monitor, so it should
    /// be quick, and authentication should come before: say by a middleware that puts the principal into the request's
    /// extensions. By default nobody is told apart, and whoever knows an operation's id may see it.
    pub fn owner(mut self, owner_of: impl Fn(&request::Parts) -> Option<Owner> + Send + Sync + 'static) -> Self {
        self.owner_of = Some(Arc::new(owner_of));
        self
    }

    /// How many operations may run at once, at least 1; 10,000 by default.
    pub fn max_operations(mut self, operations: usize) -> Self {
        self.max_operations = operations;
        self
    }

    /// How many operations of one owner may run at once, at least 1; without a limit by default.
    ///
    /// What a worker of this process runs counts, but is not held to it: that was accepted before, and a worker cannot
    /// tell the store to leave an owner out. There the store gives owners turns, and the worker's concurrency is the
    /// limit.
    pub fn max_operations_per_owner(mut self, operations: usize) -> Self {
        self.max_operations_per_owner = operations;
        self
    }

    /// How many operations may be kept at once, running and ended, at least 1; 100,000 by default.
    pub fn max_kept_operations(mut self, operations: usize) -> Self {
        self.max_kept_operations = operations;
        self
    }

    /// How many bytes all kept replies may take, at least 1; 256 MiB by default.
    ///
    /// A request is not detached while less room is left than its policy's
    /// [largest reply](crate::Policy::max_reply) takes, or than an eighth of this, whichever is less.
    pub fn max_kept_bytes(mut self, bytes: usize) -> Self {
        self.max_kept_bytes = bytes;
        self
    }

    /// Where the operations live: in a store outside this process, so that they survive it, and so that its other
    /// replicas know them. By default they live in this process's memory, and end with it.
    ///
    /// [`max_kept_operations`](Self::max_kept_operations) and [`max_kept_bytes`](Self::max_kept_bytes) do not hold for
    /// it: it has limits of its own.
    ///
    /// Nobody waits for a store for ever. What is to be looked up, and is not within 2 seconds, is answered `503`; a
    /// reply, which may be large, may take longer while the store answers otherwise. What is to be created, canceled or
    /// forgotten has 10 seconds, and another for each MiB of its request; a worker's claim has a minute.
    ///
    /// What was to be created without an [`Idempotency-Key`](crate::Policy::honor_idempotency_key), and may be there
    /// though the store has not said so, is taken back as soon as it answers again. While 1,024 such wait for it, or it
    /// was not heard of for the length of a [lease](Self::lease), it is not asked to create any more: what is durable
    /// is answered `503`, and the rest stays in line.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// How long the [store](Self::store) does without word from this replica before it counts it as dead: then what it
    /// ran is lost, or run again elsewhere. 15 seconds by default, of which each third has its heartbeat.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many bytes of replies may wait in this process for a [store](Self::store) that is away; 64 MiB by default.
    /// A reply for which there is no room is lost, and its operation ends so.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting_bytes = bytes;
        self
    }

    /// Whether this process leaves durable operations to the [workers](Operations::worker) of others: it stores and
    /// queues them, and answers. Not by default: it begins them itself while it has room.
    #[cfg(feature = "durable")]
    pub fn only_accepts(mut self, only_accepts: bool) -> Self {
        self.only_accepts = only_accepts;
        self
    }

    /// Takes what a configuration says, and leaves the rest as it is. Its policies are for the
    /// [layer](Operations::layer), which takes [`Config::routes`](crate::Config::routes).
    #[cfg(feature = "config")]
    pub fn config(mut self, config: &crate::Config) -> Self {
        self.base_path = config.base_path.clone().unwrap_or(self.base_path);
        self.public_url = config.public_url.clone().or(self.public_url);
        self.trust_forwarded = config.trust_forwarded.unwrap_or(self.trust_forwarded);
        self.max_operations = config.max_operations.unwrap_or(self.max_operations);
        self.max_operations_per_owner = config.max_operations_per_owner.unwrap_or(self.max_operations_per_owner);
        self.max_kept_operations = config.max_kept_operations.unwrap_or(self.max_kept_operations);
        self.max_kept_bytes = config.max_kept_bytes.unwrap_or(self.max_kept_bytes);
        self
    }

    /// Makes the operations.
    ///
    /// # Errors
    ///
    /// Names everything that is wrong with the settings at once.
    pub fn build(self) -> Result<Operations, BuildError> {
        let mut faults = Vec::new();
        let base_path = self.base_path.strip_suffix('/').unwrap_or(&self.base_path);
        if !is_base_path(base_path) || self.base_path.is_empty() {
            faults.push(Fault::BasePath(self.base_path.clone()));
        }
        let public_url = self.public_url.as_deref().map(|url| url.strip_suffix('/').unwrap_or(url));
        if let Some(url) = self.public_url.as_ref().filter(|_| !public_url.is_some_and(is_public_url)) {
            faults.push(Fault::PublicUrl(url.clone()));
        }
        let limits = [
            ("max_operations", self.max_operations),
            ("max_operations_per_owner", self.max_operations_per_owner),
            ("max_kept_operations", self.max_kept_operations),
            ("max_kept_bytes", self.max_kept_bytes),
        ];
        faults.extend(limits.into_iter().filter(|(_, limit)| *limit == 0).map(|(name, _)| Fault::Zero(name)));
        if self.store.is_some() && self.lease < Duration::from_secs(1) {
            faults.push(Fault::Lease(self.lease));
        }
        if !faults.is_empty() {
            return Err(BuildError(faults));
        }
        let settings = Settings {
            base_path: base_path.into(),
            public_url: public_url.map(Into::into),
            trust_forwarded: self.trust_forwarded,
            owner_of: self.owner_of,
            max_operations: self.max_operations,
            max_operations_per_owner: self.max_operations_per_owner,
            only_accepts: self.only_accepts,
        };
        if let Some(store) = self.store {
            let replica = ReplicaSettings { lease: self.lease, max_waiting_bytes: self.max_waiting_bytes };
            let hub = Hub::shared(settings, store, replica);
            return hub.map(|hub| Operations { hub }).map_err(|error| BuildError(vec![Fault::Thread(error)]));
        }
        let limits = MemoryLimits { operations: self.max_kept_operations, bytes: self.max_kept_bytes };
        let store = MemoryStore::of_one_hub(limits);
        Ok(Operations { hub: Hub::new(settings, store) })
    }
}

/// The settings are wrong; tells everything that is.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct BuildError(Vec<Fault>);

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("base_path: expected a path such as \"/operations\", found {0:?}")]
    BasePath(String),
    #[error(
        "public_url: expected an absolute URL such as \"https://api.example.com\", without user, query and fragment, \
         found {0:?}"
    )]
    PublicUrl(String),
    #[error("{0}: expected at least 1, found 0")]
    Zero(&'static str),
    #[error("lease: expected a second at least, found {0:?}")]
    Lease(Duration),
    #[error("no thread for the store's leases could be started: {0}")]
    Thread(io::Error),
}

impl fmt::Debug for OperationsBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OperationsBuilder")
            .field("base_path", &self.base_path)
            .field("public_url", &self.public_url)
            .field("trust_forwarded", &self.trust_forwarded)
            .field("max_operations", &self.max_operations)
            .field("max_operations_per_owner", &self.max_operations_per_owner)
            .field("max_kept_operations", &self.max_kept_operations)
            .field("max_kept_bytes", &self.max_kept_bytes)
            .field("store", &self.store)
            .field("lease", &self.lease)
            .field("max_waiting_bytes", &self.max_waiting_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_are_told_all_at_once() {
        let builder = Operations::builder()
            .base_path("operations")
            .public_url("/")
            .max_operations(0)
            .max_operations_per_owner(0)
            .max_kept_operations(0)
            .max_kept_bytes(0);
        let expected = r#"
base_path: expected a path such as "/operations", found "operations"
public_url: expected an absolute URL such as "https://api.example.com", without user, query and fragment, found "/"
max_operations: expected at least 1, found 0
max_operations_per_owner: expected at least 1, found 0
max_kept_operations: expected at least 1, found 0
max_kept_bytes: expected at least 1, found 0"#;
        assert_eq!(builder.build().unwrap_err().to_string(), expected.trim_start());
    }
}
