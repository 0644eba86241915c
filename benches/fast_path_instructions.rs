//! The same calls as in `fast_path`, in instructions, which no neighbour on the machine disturbs.
//!
//! Needs valgrind.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

mod support;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use support::{
    Timers,
    callees::{Around, Calls, Pace, calls},
    report::{self, Bar},
    valgrind,
};

/// Whether requests have a body.
const BODIES: [(bool, &str); 2] = [(false, "requests without a body"), (true, "requests with a body")];

fn main() {
    if let Some((alternative, batches)) = valgrind::task() {
        let runtime = Timers::AnotherFirst.runtime();
        return valgrind::make(batches, &runtime, &alternatives().nth(alternative).unwrap()());
    }
    if !valgrind::is_there() {
        return;
    }
    let mut counted = 0..;
    for pace in Pace::ALL {
        for (_, title) in BODIES {
            let counted = Around::ALL.map(|_| valgrind::instructions(counted.next().unwrap()));
            report(&format!("{}, {title}", pace.name()), pace, counted);
        }
    }
}

/// All that is counted, in the order of the tables.
fn alternatives() -> impl Iterator<Item = impl Fn() -> Calls> {
    let bodies = |pace| BODIES.map(|(has_body, _)| (pace, has_body));
    let all = Pace::ALL.into_iter().flat_map(bodies);
    all.flat_map(|(pace, has_body)| {
        Around::ALL.map(|around| {
            move || match has_body {
                false => calls(around, pace, Empty::new()),
                true => calls(around, pace, Full::new(Bytes::from_static(b"{\"scene\":\"teapot\",\"tiles\":10}"))),
            }
        })
    })
}

fn report(title: &str, pace: Pace, [bare, tower, tower_http, ours, with_table, spawn]: [f64; 6]) {
    report::title(&format!("Instructions added to a call: {title}"));
    report::told("the bare service itself, and its request", "", &format!("{bare:.0}"), None);
    let (bar, best) = match pace {
        Pace::ReadyAtOnce => (Around::TowerHttpTimeout, 0.35),
        Pace::YieldsOnce => (Around::TowerTimeout, 0.5),
    };
    for (around, theirs) in
        [(Around::TowerTimeout, tower), (Around::TowerHttpTimeout, tower_http), (Around::SpawnEveryRequest, spawn)]
    {
        let (ours, theirs) = (ours - bare, theirs - bare);
        let figure = format!("one policy, beside {}", around.name());
        let (of_ours, of_theirs) = (format!("{ours:.0}"), format!("{theirs:.0}"));
        if around == bar {
            report::judged(&figure, &of_ours, &of_theirs, ours / theirs, Bar::AtMost(best));
        } else {
            report::told(&figure, &of_ours, &of_theirs, Some(ours / theirs));
        }
    }
    report::told(
        "a table of 100 routes, beside one policy",
        &format!("{:.0}", with_table - bare),
        &format!("{:.0}", ours - bare),
        None,
    );
}
