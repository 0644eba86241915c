//! What an operation costs: the time from its call to its kept reply, and the memory it takes meanwhile and after.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

mod support;

use std::{
    alloc::System,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::{Empty, Full};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{
    report::{self, Bar, nanoseconds},
    statistics::{median, ratio},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_respond_async::{Operations, Policy};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The bytes of the reply: the name and value of its one header field, and its body.
const REPLY: usize = "content-type".len() + "application/json".len() + "{\"rendered\":true}".len();

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn main() {
    let (batch, rounds, counts) = match support::is_quick() {
        true => (1_000, 3, vec![1_000, 10_000]),
        false => (10_000, 41, vec![1_000, 10_000, 100_000, 300_000, 1_000_000]),
    };
    report::title("Detach and complete, per operation");
    for (threads, runtime) in [
        ("one thread", Builder::new_current_thread().enable_all().build().unwrap()),
        ("two threads", Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
    ] {
        time(threads, &runtime, batch, rounds);
    }
    report::title("Heap bytes per operation, beyond the handler's future or the reply");
    for count in counts {
        heap(count);
    }
}

/// A handler that waits until it may go on; and the request it gets.
fn handler<B>(request: Request<B>, gate: Arc<Semaphore>) -> impl Future<Output = Answer> + Send + 'static {
    drop(request);
    async move {
        let _permit = gate.acquire().await;
        let mut response = Response::new(Full::new(Bytes::from_static(b"{\"rendered\":true}")));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

fn request() -> Request<Empty<Bytes>> {
    Request::post("/renders").header(header::HOST, "renders.example.com").body(Empty::new()).unwrap()
}

fn operations() -> Operations {
    let unlimited = usize::MAX / 2;
    let builder = Operations::builder().max_operations(unlimited).max_kept_operations(unlimited);
    builder.max_kept_bytes(unlimited).build().unwrap()
}

/// Detaches at the first poll.
fn policy() -> Policy {
    Policy::new().budget(Duration::ZERO).retention(Duration::from_secs(3600))
}

fn time(threads: &str, runtime: &Runtime, batch: usize, rounds: usize) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(runtime.block_on(time_ours(operations(), batch)));
        bare.push(runtime.block_on(time_bare(batch)));
    }
    let figure = format!("{threads}, beside a bare spawn of the same boxed future");
    let (of_ours, of_bare) = (nanoseconds(median(ours.clone())), nanoseconds(median(bare.clone())));
    report::judged(&figure, &of_ours, &of_bare, ratio(&ours, &bare), Bar::AtMost(1.7));
}

async fn time_ours(operations: Operations, batch: usize) -> f64 {
    let gate = Arc::new(Semaphore::new(0));
    let at_gate = Arc::clone(&gate);
    let mut service =
        operations.layer(policy()).layer(service_fn(move |request| handler(request, Arc::clone(&at_gate))));
    let begun = Instant::now();
    for _ in 0..batch {
        let response = service.ready().await.unwrap().call(request()).await.unwrap();
        debug_assert_eq!(response.status(), 202);
    }
    gate.add_permits(batch);
    while operations.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    begun.elapsed().as_secs_f64() * 1e9 / batch as f64
}

async fn time_bare(batch: usize) -> f64 {
    let gate = Arc::new(Semaphore::new(0));
    let running = Arc::new(AtomicUsize::new(batch));
    let begun = Instant::now();
    for _ in 0..batch {
        let handler = Box::pin(handler(request(), Arc::clone(&gate)));
        let running = Arc::clone(&running);
        tokio::spawn(async move {
            let _reply = handler.await;
            running.fetch_sub(1, Ordering::Release);
        });
    }
    gate.add_permits(batch);
    while running.load(Ordering::Acquire) > 0 {
        tokio::task::yield_now().await;
    }
    begun.elapsed().as_secs_f64() * 1e9 / batch as f64
}

fn heap(count: usize) {
    let future = size_of_val(&handler(request(), Arc::new(Semaphore::new(0))));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (pending, finished) = runtime.block_on(async {
        let gate = Arc::new(Semaphore::new(0));
        let operations = operations();
        let at_gate = Arc::clone(&gate);
        let mut service =
            operations.layer(policy()).layer(service_fn(move |request| handler(request, Arc::clone(&at_gate))));
        let region = Region::new(ALLOCATOR);
        let per_operation = || {
            let change = region.change();
            (change.bytes_allocated - change.bytes_deallocated) as f64 / count as f64
        };
        for _ in 0..count {
            let response = service.ready().await.unwrap().call(request()).await.unwrap();
            debug_assert!(!response.body().is_end_stream());
            // Else the queue of tasks that wait for their turn, which is the runtime's, would be counted, too.
            tokio::task::yield_now().await;
        }
        let pending = per_operation();
        while operations.in_flight() > 0 {
            gate.add_permits(32);
            tokio::task::yield_now().await;
        }
        (pending, per_operation())
    });
    let pending = pending - future as f64;
    report::judged(&format!("{count} pending"), &format!("{pending:.0}"), "300", pending / 300.0, Bar::AtMost(1.0));
    let finished = finished - REPLY as f64;
    report::judged(&format!("{count} finished"), &format!("{finished:.0}"), "180", finished / 180.0, Bar::AtMost(1.0));
}
