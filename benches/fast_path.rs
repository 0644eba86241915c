//! What a call costs that is answered within its budget: bare, under a timeout, under this layer, as a task of its own.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

mod support;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{Empty, Full};
use support::{
    Timers,
    callees::{Around, Calls, Pace, calls},
    report::{self, Bar, nanoseconds},
    statistics::{median, ratio},
};
use tokio::{runtime::Runtime, task::unconstrained};

/// Few enough that their requests stay in the cache.
const BATCH: usize = 64;
const BATCHES: usize = 16;

fn main() {
    let rounds = if support::is_quick() { 20 } else { 1_000 };
    for pace in Pace::ALL {
        for timers in Timers::ALL {
            let title = format!("{}, {}", pace.name(), timers.name());
            let without_body = Measured::of(pace, timers, &Empty::new(), rounds);
            report(&format!("{title}, requests without a body"), pace, &without_body);
            let body = Full::new(Bytes::from_static(b"{\"scene\":\"teapot\",\"tiles\":10}"));
            let with_body = Measured::of(pace, timers, &body, rounds);
            report(&format!("{title}, requests with a body"), pace, &with_body);
        }
    }
}

/// Nanoseconds per call, for each that stands around the service and each round.
struct Measured(Vec<(Around, Vec<f64>)>);

impl Measured {
    fn of<B>(pace: Pace, timers: Timers, body: &B, rounds: usize) -> Self
    where
        B: Body<Data = Bytes> + Clone + Send + Sync + 'static,
        B::Error: Send,
    {
        // Each has a runtime of its own, as the timers of one would make those of another cheaper.
        let mut alternatives: Vec<(Around, Runtime, Calls)> =
            Around::ALL.map(|around| (around, timers.runtime(), calls(around, pace, body.clone()))).into();
        let mut measured: Vec<_> = Around::ALL.map(|around| (around, Vec::new())).into();
        for round in 0..rounds + 10 {
            // Each is once the first, so that none always meets the other's caches.
            alternatives.rotate_left(1);
            for (around, runtime, calls) in &alternatives {
                let time: f64 = (0..BATCHES).map(|_| run(runtime, calls)).sum();
                if let Some((_, times)) = measured.iter_mut().find(|(of, _)| of == around).filter(|_| round >= 10) {
                    times.push(time / (BATCH * BATCHES) as f64);
                }
            }
        }
        Self(measured)
    }

    fn times(&self, around: Around) -> &[f64] {
        self.0.iter().find(|(of, _)| *of == around).map_or(&[], |(_, times)| times)
    }

    /// What it adds to the bare service, round by round.
    fn added(&self, around: Around) -> Vec<f64> {
        self.times(around).iter().zip(self.times(Around::Nothing)).map(|(time, bare)| time - bare).collect()
    }
}

fn run(runtime: &Runtime, calls: &Calls) -> f64 {
    // Without a budget of tokio's, which would stop the timers of some alternatives after 128 calls.
    runtime.block_on(async { tokio::spawn(unconstrained(calls(BATCH))).await.unwrap() })
}

fn report(title: &str, pace: Pace, measured: &Measured) {
    report::title(&format!("Added to a call: {title}"));
    let bare = nanoseconds(median(measured.times(Around::Nothing).iter().copied()));
    report::told("the bare service itself", "", &bare, None);
    let (bar, best) = match pace {
        Pace::ReadyAtOnce => (Around::TowerHttpTimeout, 0.35),
        Pace::YieldsOnce => (Around::TowerTimeout, 0.5),
    };
    let ours = measured.added(Around::Ours);
    for around in [Around::TowerTimeout, Around::TowerHttpTimeout, Around::SpawnEveryRequest] {
        let theirs = measured.added(around);
        let (of_ours, of_theirs) = (nanoseconds(median(ours.clone())), nanoseconds(median(theirs.clone())));
        let (figure, ratio) = (format!("one policy, beside {}", around.name()), ratio(&ours, &theirs));
        if around == bar {
            report::judged(&figure, &of_ours, &of_theirs, ratio, Bar::AtMost(best));
        } else {
            report::told(&figure, &of_ours, &of_theirs, Some(ratio));
        }
    }
    let with_table = measured.added(Around::OursWithTable);
    let table = median(with_table.iter().zip(&ours).map(|(with, without)| with - without));
    report::judged(
        "a table of 100 routes, in ns, beside one policy",
        &nanoseconds(median(with_table)),
        &nanoseconds(median(ours)),
        table,
        Bar::AtMost(100.0),
    );
}
