//! The hub a user makes once: gives out the layer, the monitor, the drain.

mod builder;

use std::{sync::Arc, time::Duration};

pub use builder::{BuildError, OperationsBuilder};

use crate::{
    hub::{Drained, Hub},
    layer::RespondAsyncLayer,
    monitor::Monitor,
    policy::Routes,
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
    /// What is wrong with a table has been an error when it was [built](crate::RoutesBuilder::build). A policy alone
    /// that cannot be kept to is logged as an error, and every request stays in line; to have an error, build a table
    /// of [it alone](crate::RoutesBuilder::otherwise).
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
    /// It takes some seconds more than `grace` where handlers do not stop, or the [store](OperationsBuilder::store) is
    /// away.
    ///
    /// The monitor goes on answering, so call this before the server stops. To be called once; a later call returns as
    /// soon as nothing runs.
    ///
    /// Not cancel safe: if it is dropped half way, the operations that run go on, and new ones are still declined.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.hub.drain(grace).await
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::{Owner, Policy, RequestBody};

    /// Whether the store keeps the word `secret` anywhere, as text or as bytes.
    fn keeps_the_secret(operations: &Operations) -> bool {
        let kept = format!("{:?}", operations.hub.operations);
        kept.contains("secret") || kept.contains(&format!("{:?}", b"secret").replace(['[', ']'], ""))
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
