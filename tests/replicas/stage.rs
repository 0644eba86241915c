//! Replicas of one application before one store, and what one asks of them.

use std::{fmt::Debug, net::SocketAddr, sync::Arc, thread, time::Duration};

use axum::{Router, body::Body};
use http::{Method, Request};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tower::ServiceExt;
use tower_respond_async::{Execution, Operations, OperationsBuilder, Owner, Policy};

use crate::{
    client::{Exchange, Framing, Received, request, within},
    engines::Place,
    tap::{self, Tap},
    work::Work,
};

/// Long enough for a busy machine, short enough to wait for its end.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// What has not come true by then is taken not to.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) type Headers<'a> = &'a [(&'a str, &'a str)];

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) work: Arc<Work>,
}

/// One process of the application, as far as its clients and its store can tell.
pub(crate) struct Replica {
    pub(crate) operations: Operations,
    pub(crate) tap: Arc<tap::State>,
    address: SocketAddr,
    router: Router,
    serving: JoinHandle<()>,
}

/// Most of the tests are about what is detached. None depends on how small the budget is.
pub(crate) fn impatient() -> Policy {
    Policy::new().budget(Duration::from_millis(20)).handle(true)
}

pub(crate) fn patient() -> Policy {
    Policy::new().budget(Duration::from_secs(3_600)).handle(true)
}

pub(crate) fn durable() -> Policy {
    impatient().execution(Execution::Durable).backoff(Duration::from_millis(50))
}

pub(crate) fn builder() -> OperationsBuilder {
    Operations::builder().owner(|request| Some(Owner::new(request.headers.get("x-user")?.to_str().ok()?))).lease(LEASE)
}

impl Stage {
    pub(crate) fn at(place: Place) -> Self {
        Self { place, work: Work::new() }
    }

    /// Whether replicas can share the store.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self.place, Place::Own)
    }

    pub(crate) async fn replica(&self, policy: Policy) -> Replica {
        self.replica_of(builder(), policy).await
    }

    pub(crate) async fn replicas(&self, policy: Policy) -> (Replica, Replica) {
        (self.replica(policy.clone()).await, self.replica(policy).await)
    }

    pub(crate) async fn replica_of(&self, builder: OperationsBuilder, policy: Policy) -> Replica {
        let tap = tap::State::new();
        let operations = match self.place.open().await {
            None => builder.build().unwrap(),
            Some(store) => {
                let operations = builder.store(Tap::new(store, Arc::clone(&tap))).build().unwrap();
                tap.leased().await;
                operations
            }
        };
        let work = Arc::clone(&self.work);
        let router = Router::new()
            .fallback(move |request: Request<Body>| Arc::clone(&work).handle(request))
            .layer(operations.layer(policy))
            .nest_service("/operations", operations.monitor());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = router.clone();
        let serving = tokio::spawn(async move { axum::serve(listener, served).await.unwrap() });
        Replica { operations, tap, address, router, serving }
    }
}

impl Replica {
    /// Sends a request, and waits for nothing yet.
    pub(crate) async fn begin(&self, method: Method, path: &str, headers: Headers<'_>, body: &[u8]) -> Exchange {
        let head = headers.iter().fold(request(method, path), |head, (name, value)| head.header(*name, *value));
        let mut exchange = Exchange::begin(self.address, Framing::Length, head.body(()).unwrap(), body.len()).await;
        exchange.send(body).await;
        exchange
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: Headers<'_>) -> Received {
        self.begin(method, path, headers, b"").await.response().await
    }

    pub(crate) async fn post(&self, path: &str, headers: Headers<'_>, body: &str) -> Received {
        self.begin(Method::POST, path, headers, body.as_bytes()).await.response().await
    }

    /// Begins a request without a connection, and drops it where nothing can be begun, while the store's answer is held
    /// back.
    pub(crate) async fn give_up(&self, path: &str, headers: Headers<'_>) {
        let head = headers.iter().fold(Request::post(path), |head, (name, value)| head.header(*name, *value));
        let mut request = Box::pin(self.router.clone().oneshot(head.body(Body::from("body")).unwrap()));
        tokio::select! {
            answer = &mut request => panic!("it is answered: {answer:?}"),
            () = self.tap.creates_silently() => {}
        }
        thread::spawn(move || drop(request)).join().unwrap();
    }

    /// Sends a request without a connection, and gets the status of the answer.
    pub(crate) async fn call(&self, path: &str) -> u16 {
        let request = Request::post(path).body(Body::empty()).unwrap();
        within(self.router.clone().oneshot(request)).await.unwrap().status().as_u16()
    }

    pub(crate) async fn get(&self, path: &str) -> Received {
        self.ask(Method::GET, path, &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Received {
        self.ask(Method::DELETE, path, &[]).await
    }

    /// Sends a request that becomes an operation, and says where that is.
    pub(crate) async fn detached(&self, path: &str) -> String {
        self.detached_with(path, &[], "").await
    }

    pub(crate) async fn detached_with(&self, path: &str, headers: Headers<'_>, body: &str) -> String {
        let accepted = self.post(path, headers, body).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        accepted.location().to_owned()
    }

    /// Waits for the end of an operation, and gets its reply.
    pub(crate) async fn result(&self, location: &str) -> Received {
        let ended = self.ask(Method::GET, location, &[("prefer", "wait=60")]).await;
        assert_eq!(ended.status, 303, "{}", ended.text());
        self.get(ended.location()).await
    }

    pub(crate) async fn status(&self, location: &str) -> Value {
        let status = self.get(&format!("{location}/status")).await;
        assert_eq!(status.status, 200, "{}", status.text());
        status.json()
    }

    /// Waits until the operation has this state, and gets its status document.
    pub(crate) async fn becomes(&self, location: &str, state: &str) -> Value {
        eventually(async || {
            let status = self.status(location).await;
            if status["status"] == state { Ok(status) } else { Err(status) }
        })
        .await
    }

    /// Has it run what is queued, too.
    pub(crate) fn work(&self) -> JoinHandle<()> {
        tokio::spawn(self.operations.worker(self.router.clone()).run())
    }

    /// Dies, as the store and the clients see it: what it ran goes on and reaches nobody.
    pub(crate) fn die(&self) {
        self.tap.die();
        self.serving.abort();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Tries again and again until it is as it should be.
pub(crate) async fn eventually<T, E: Debug>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match within(attempt()).await {
            Ok(found) => return found,
            Err(found) => assert!(begun.elapsed() < PATIENCE, "it stays so: {found:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
