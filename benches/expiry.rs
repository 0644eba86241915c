//! What a million operations that expire at once do to those who read others meanwhile, and to the tasks beside them.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

mod support;

use std::{
    convert::Infallible,
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cpu_time::ThreadTime;
use http::{Request, Response, StatusCode, header};
use http_body_util::{Empty, Full};
use support::{
    report::{self, Bar, nanoseconds},
    statistics::percentile,
};
use tokio::{runtime::Builder, sync::Semaphore};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_respond_async::{Monitor, Operations, Policy};

/// How many operations the reader reads, which do not expire.
const READ: usize = 10_000;

fn main() {
    let (count, quiet) = match support::is_quick() {
        true => (20_000, Duration::from_secs(1)),
        false => (1_000_000, Duration::from_secs(6)),
    };
    // One thread runs the operations, their sweeper and the probe, another reads.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let measured = runtime.block_on(measure(count, quiet));

    report::title(&format!("While {count} operations expire, beside the quiet before"));
    for (share, name) in [(0.5, "p50"), (0.99, "p99"), (0.9999, "p99.99")] {
        let [during, before] =
            [&measured.during, &measured.before].map(|phase| percentile(&mut phase.reads.clone(), share));
        let figure = format!("a reader's {name}");
        let (of_during, of_before) = (nanoseconds(during), nanoseconds(before));
        if name == "p99.99" {
            report::judged(&figure, &of_during, &of_before, during / before, Bar::AtMost(1.5));
        } else {
            report::told(&figure, &of_during, &of_before, Some(during / before));
        }
    }
    for (share, name) in [(0.99, "p99"), (0.9999, "p99.99"), (1.0, "longest")] {
        let [during, before] = [&measured.during, &measured.before].map(|phase| percentile(&mut phase.turns(), share));
        let figure = format!("a thread's time between two turns of a task, {name}");
        report::told(&figure, &nanoseconds(during), &nanoseconds(before), Some(during / before));
    }
    let longest = percentile(&mut measured.during.undisturbed_turns(), 1.0) / 1e3;
    let figure = "the longest in which nothing else had its core, in us";
    report::judged(figure, &format!("{longest:.0}"), "200", longest, Bar::AtMost(200.0));
}

struct Measured {
    before: Phase,
    during: Phase,
}

/// What was seen in one stretch of time, in nanoseconds.
struct Phase {
    reads: Vec<f64>,
    gaps: Vec<Gap>,
}

/// Between two turns of a task.
struct Gap {
    time: f64,
    /// Something else had the core meanwhile.
    preempted: bool,
}

impl Phase {
    fn turns(&self) -> Vec<f64> {
        self.gaps.iter().map(|gap| gap.time).collect()
    }

    fn undisturbed_turns(&self) -> Vec<f64> {
        self.gaps.iter().filter(|gap| !gap.preempted).map(|gap| gap.time).collect()
    }
}

async fn measure(count: usize, quiet: Duration) -> Measured {
    let unlimited = usize::MAX / 2;
    let builder = Operations::builder().max_operations(unlimited).max_kept_operations(unlimited);
    let operations = builder.max_kept_bytes(unlimited).build().unwrap();

    let kept = finish(&operations, READ, Duration::from_secs(3600)).await;
    // Whoever ends first must not expire before the last has ended and the quiet is over.
    let retention = quiet * 2 + Duration::from_secs(if count > 100_000 { 20 } else { 2 });
    let begun = Instant::now();
    finish(&operations, count, retention).await;
    let ended = Instant::now();
    assert!(begun + retention > ended + quiet, "this machine is too slow for this retention");

    let before = phase(operations.monitor(), kept.clone(), ended + quiet).await;
    tokio::time::sleep_until((begun + retention).into()).await;
    let during = phase(operations.monitor(), kept, ended + retention + Duration::from_millis(500)).await;
    Measured { before, during }
}

/// Has so many operations succeed; returns where they are.
async fn finish(operations: &Operations, count: usize, retention: Duration) -> Vec<String> {
    let gate = Arc::new(Semaphore::new(0));
    let at_gate = Arc::clone(&gate);
    let policy = Policy::new().budget(Duration::ZERO).retention(retention);
    let mut service = operations.layer(policy).layer(service_fn(move |_| {
        let gate = Arc::clone(&at_gate);
        async move {
            let _permit = gate.acquire().await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"rendered"))))
        }
    }));
    let mut locations = Vec::with_capacity(count);
    for _ in 0..count {
        let request = Request::post("/renders").body(Empty::<Bytes>::new()).unwrap();
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        locations.push(response.headers()[header::LOCATION].to_str().unwrap().to_owned());
    }
    gate.add_permits(count);
    while operations.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    locations
}

/// Reads in another thread, and takes turns with whatever else runs in this one, until then.
async fn phase(monitor: Monitor, locations: Vec<String>, until: Instant) -> Phase {
    let over = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let reader = {
        let over = Arc::clone(&over);
        thread::spawn(move || sender.send(read(monitor, &locations, &over)))
    };
    let mut gaps = Vec::with_capacity(10_000_000);
    let preemptions = Preemptions::of_this_thread();
    while Instant::now() < until {
        let preempted = preemptions.count();
        // In the thread's own time, which stands still while other processes have the processor.
        let begun = ThreadTime::now();
        tokio::task::yield_now().await;
        let time = begun.elapsed().as_nanos() as f64;
        gaps.push(Gap { time, preempted: preemptions.count() > preempted });
    }
    over.store(true, Ordering::Relaxed);
    let reads = receiver.recv().unwrap();
    reader.join().unwrap().unwrap();
    Phase { reads, gaps }
}

/// How often the processor was taken from a thread. What that leaves behind, cold caches above all, is in the thread's
/// own time.
struct Preemptions(File);

impl Preemptions {
    fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/status").unwrap())
    }

    fn count(&self) -> u64 {
        let mut status = [0; 4096];
        let length = self.0.read_at(&mut status, 0).unwrap();
        let status = str::from_utf8(&status[..length]).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
        count.unwrap().trim().parse().unwrap()
    }
}

fn read(mut monitor: Monitor, locations: &[String], over: &AtomicBool) -> Vec<f64> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut times = Vec::with_capacity(10_000_000);
    for location in locations.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let request = Request::get(location.as_str()).body(()).unwrap();
        let begun = Instant::now();
        let response = runtime.block_on(monitor.call(request)).unwrap();
        times.push(begun.elapsed().as_nanos() as f64);
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
    }
    times
}
