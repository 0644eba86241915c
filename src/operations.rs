//! The hub a user makes once: gives out the layer, the monitor, the drain.

use std::{fmt, io, sync::Arc, time::Duration};

use http::request;

use crate::{
    http::address::{is_base_path, is_public_url},
    hub::{Drained, Hub, OwnerOf, Settings},
    layer::RespondAsyncLayer,
    monitor::Monitor,
    operation::Owner,
    policy::Routes,
    replica::ReplicaSettings,
    store::{MemoryLimits, MemoryStore, Store},
};

/// All operations of an application: made once, it gives out the [layer](Self::layer) that lets requests become
/// operations and the [monitor](Self::monitor) that serves them.
///
/// Cheap to clone; clones share everything.
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::post};
/// use tower_respond_async::{Operations, Policy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let operations = Operations::builder().base_path("/operations").build()?;
/// let app: Router = Router::new()
///     .route("/renders", post(async || "a picture"))
///     .layer(operations.layer(Policy::new().budget(Duration::from_millis(300))))
///     .nest_service("/operations", operations.monitor());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Operations {
    hub: Arc<Hub>,
}

impl Operations {
    /// Begins with the defaults.
    pub fn builder() -> OperationsBuilder {
        OperationsBuilder::default()
    }

    /// The layer that lets requests become operations, on the terms of one [`Policy`](crate::Policy) or of a table of
    /// [`Routes`]. Layers of the same operations may wrap several services.
    ///
    /// A request whose extensions hold a [`Policy`](crate::Policy) has that one instead.
    ///
    /// What is wrong with a table has been an error when it was [built](crate::RoutesBuilder::build). A policy alone that
    /// cannot be kept to is logged as an error, and every request stays in line; to have an error, build a table of
    /// [it alone](crate::RoutesBuilder::otherwise).
    #[must_use]
    pub fn layer(&self, routes: impl Into<Routes>) -> RespondAsyncLayer {
        RespondAsyncLayer::new(&self.hub, &routes.into())
    }

    /// The service that tells the state of operations, gives out their replies and cancels them. To be mounted at the
    /// base path.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor::new(Arc::clone(&self.hub))
    }

    /// The service `google.longrunning.Operations`, for those who follow operations over gRPC. To be served beside the
    /// application's own services. See [`longrunning`](crate::longrunning).
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn longrunning(&self) -> crate::longrunning::LongRunning {
        crate::longrunning::LongRunning::new(Arc::clone(&self.hub))
    }

    /// A worker, which takes queued durable operations from the [store](OperationsBuilder::store) and runs them by this
    /// service: the one that [the layer](Self::layer) wraps, or the whole application with the layer in it.
    #[cfg(feature = "durable")]
    pub fn worker<S>(&self, service: S) -> crate::Worker<S> {
        crate::Worker::new(Arc::clone(&self.hub), service)
    }

    /// How many operations run in this process.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.hub.running()
    }

    /// Shuts down: from now on requests stay in line; operations that run may end within `grace`; those that do not
    /// are ended as `interrupted`, and event streams and long polls with them. When this returns, no operation and no
    /// task of this crate is left running, but for handlers that block their thread ([`Drained::blocked`]).
    ///
    /// The monitor goes on answering, so call this before the server stops. To be called once; a later call returns as
    /// soon as nothing runs.
    ///
    /// Not cancel safe: if it is dropped half way, the operations that run go on, and new ones are still declined.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.hub.drain(grace).await
    }
}

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

    /// Whether this process leaves durable operations to the [workers](Operations::worker) of others: it stores and queues
    /// them, and answers. Not by default: it begins them itself while it has room.
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
    use std::convert::Infallible;

    use http::{Request, Response};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::{Policy, RequestBody};

    /// Whether the store keeps the word `secret` anywhere, as text or as bytes.
    fn keeps_the_secret(operations: &Operations) -> bool {
        let kept = format!("{:?}", operations.hub.operations);
        kept.contains("secret") || kept.contains(&format!("{:?}", b"secret").replace(['[', ']'], ""))
    }

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

    #[tokio::test(start_paused = true)]
    async fn r10_no_credential_of_a_request_reaches_the_store() {
        for body in ["public", "secret"] {
            let operations = Operations::builder().owner(|_| Some(Owner::new("secret"))).build().unwrap();
            let service = service_fn(|request: Request<RequestBody<String>>| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert_eq!(request.headers().len(), 3);
                Ok::<_, Infallible>(Response::new(body.to_owned()))
            });
            let request = Request::post("/jobs")
                .header("authorization", "Bearer secret")
                .header("cookie", "session=secret")
                .header("proxy-authorization", "Basic secret")
                .body(String::new())
                .unwrap();
            let layer = operations.layer(Policy::new().budget(Duration::ZERO).handle(true));
            assert_eq!(layer.layer(service).oneshot(request).await.unwrap().status(), 202);
            assert!(!keeps_the_secret(&operations));
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(operations.in_flight(), 0);
            assert_eq!(keeps_the_secret(&operations), body == "secret", "but what the handler replies");
        }
    }
}
