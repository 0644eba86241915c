//! An application in process: a service that does next to nothing, the layer, the monitor, a worker. No HTTP.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet, yield_now},
};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_respond_async::{Completion, Execution, Monitor, Operations, Policy, RequestBody, ResponseBody};

use crate::place::Place;

type Incoming = Request<Full<Bytes>>;
type Outgoing = Response<ResponseBody<Full<Bytes>>>;

/// How operations are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Detached,
    /// Durable, and run by the replica that accepts them.
    AtOnce,
    /// Durable, accepted by one replica and run by the worker of another.
    ByWorker,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Detached, Self::AtOnce, Self::ByWorker];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::AtOnce => "durable, run where accepted",
            Self::ByWorker => "durable, run by a worker",
        }
    }
}

/// A replica that accepts, and maybe another with a worker.
pub(crate) struct Application {
    operations: Operations,
    service: BoxCloneSyncService<Incoming, Outgoing, Infallible>,
    monitor: Monitor,
    worker: Option<(Operations, JoinHandle<()>)>,
    handled: Arc<AtomicUsize>,
}

impl Application {
    pub(crate) async fn start(place: &Place, mode: Mode) -> Self {
        let handled = Arc::new(AtomicUsize::new(0));
        let policy = Policy::new().grace(Duration::ZERO).completion(Completion::Replay);
        let policy = match mode {
            Mode::Detached => policy,
            Mode::AtOnce | Mode::ByWorker => policy.execution(Execution::Durable),
        };
        let builder = || Operations::builder().max_operations(1_000_000);
        let accepting = place.hold(builder().only_accepts(mode == Mode::ByWorker)).await.build().unwrap();
        let service = accepting.layer(policy.clone()).layer(trivial(&handled));
        let worker = if mode == Mode::ByWorker {
            let running = place.hold(builder()).await.build().unwrap();
            let service = running.layer(policy).layer(trivial(&handled));
            let worker = tokio::spawn(running.worker(service).concurrency(256).run());
            Some((running, worker))
        } else {
            None
        };
        let (service, monitor) = (BoxCloneSyncService::new(service), accepting.monitor());
        let started = Self { operations: accepting, service, monitor, worker, handled };
        started.has_a_lease().await;
        started
    }

    /// The first operation may have to wait for the lease.
    async fn has_a_lease(&self) {
        let location = self.submit().await;
        self.reply(&location).await;
    }

    /// How many operations the handler has been asked to do, and has.
    pub(crate) fn handled(&self) -> usize {
        self.handled.load(Ordering::Relaxed)
    }

    /// Makes a request an operation, and gives its location.
    pub(crate) async fn submit(&self) -> String {
        submit(&mut self.service.clone()).await
    }

    /// Has so many requests become operations, of so many clients at a time.
    pub(crate) async fn submit_all(&self, operations: usize, clients: usize) {
        let mut submitters = JoinSet::new();
        for client in 0..clients {
            let mut service = self.service.clone();
            submitters.spawn(async move {
                for _ in (client..operations).step_by(clients) {
                    submit(&mut service).await;
                }
            });
        }
        while let Some(submitted) = submitters.join_next().await {
            submitted.unwrap();
        }
    }

    /// Waits for the reply of an operation.
    pub(crate) async fn reply(&self, location: &str) {
        assert_eq!(self.ask(location, "wait=30").await, StatusCode::OK);
    }

    /// Asks for the state of an operation.
    pub(crate) async fn poll(&self, location: &str) {
        assert_eq!(self.ask(&format!("{location}/status"), "").await, StatusCode::OK);
    }

    async fn ask(&self, target: &str, prefer: &str) -> StatusCode {
        let request = Request::get(target).header("prefer", prefer).body(()).unwrap();
        self.monitor.clone().oneshot(request).await.unwrap().status()
    }

    pub(crate) async fn stop(self) {
        if let Some((running, worker)) = self.worker {
            running.drain(Duration::from_secs(5)).await;
            worker.await.unwrap();
        }
        self.operations.drain(Duration::from_secs(5)).await;
    }
}

/// What is ready before it is stored is answered in line, so the handler waits in line until it is told that it has
/// been accepted. A worker's does not wait.
fn trivial<B: http_body_util::BodyExt + Send + 'static>(
    handled: &Arc<AtomicUsize>,
) -> impl Service<Request<RequestBody<B>>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    let handled = Arc::clone(handled);
    service_fn(move |request: Request<RequestBody<B>>| {
        let handled = Arc::clone(&handled);
        let accepted = request.extensions().get::<Arc<Notify>>().cloned();
        async move {
            match accepted {
                Some(accepted) => accepted.notified().await,
                None => yield_now().await,
            }
            handled.fetch_add(1, Ordering::Relaxed);
            Ok(Response::new(Full::from("done")))
        }
    })
}

async fn submit(service: &mut BoxCloneSyncService<Incoming, Outgoing, Infallible>) -> String {
    let accepted = Arc::new(Notify::new());
    let request = Request::post("/jobs").header("prefer", "respond-async").extension(Arc::clone(&accepted));
    let request = request.body(Full::from("work")).unwrap();
    let answer = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    accepted.notify_one();
    answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
}
