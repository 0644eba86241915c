//! What a call costs that is answered within its budget: bare, under a timeout, under this layer, as a task of its own.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

mod support;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{Empty, Full};
use support::{
    Timers,
    callees::{Around, Pace, calls},
    report::{self, Bar, nanoseconds},
    rounds::Measured,
    statistics::{median, ratio},
};

fn main() {
    let rounds = if support::is_quick() { 20 } else { 1_000 };
    for pace in Pace::ALL {
        for timers in Timers::ALL {
            let title = format!("{}, {}", pace.name(), timers.name());
            let without_body = measure(pace, timers, &Empty::new(), rounds);
            report(&format!("{title}, requests without a body"), pace, &without_body);
            let body = Full::new(Bytes::from_static(b"{\"scene\":\"teapot\",\"tiles\":10}"));
            let with_body = measure(pace, timers, &body, rounds);
            report(&format!("{title}, requests with a body"), pace, &with_body);
        }
    }
}

fn measure<B>(pace: Pace, timers: Timers, body: &B, rounds: usize) -> Measured<Around>
where
    B: Body<Data = Bytes> + Clone + Send + Sync + 'static,
    B::Error: Send,
{
    let alternatives = Around::ALL.map(|around| (around, timers.runtime(), calls(around, pace, body.clone())));
    Measured::of(alternatives.into(), rounds)
}

fn report(title: &str, pace: Pace, measured: &Measured<Around>) {
    report::title(&format!("Added to a call: {title}"));
    let bare = nanoseconds(median(measured.times(Around::Nothing).iter().copied()));
    report::told("the bare service itself", "", &bare, None);
    let (bar, best) = match pace {
        Pace::ReadyAtOnce => (Around::TowerHttpTimeout, 0.35),
        Pace::YieldsOnce => (Around::TowerTimeout, 0.5),
    };
    let ours = measured.added(Around::Ours, Around::Nothing);
    for around in [Around::TowerTimeout, Around::TowerHttpTimeout, Around::SpawnEveryRequest] {
        let theirs = measured.added(around, Around::Nothing);
        let (of_ours, of_theirs) = (nanoseconds(median(ours.clone())), nanoseconds(median(theirs.clone())));
        let (figure, ratio) = (format!("one policy, beside {}", around.name()), ratio(&ours, &theirs));
        if around == bar {
            report::judged(&figure, &of_ours, &of_theirs, ratio, Bar::AtMost(best));
        } else {
            report::told(&figure, &of_ours, &of_theirs, Some(ratio));
        }
    }
    let with_table = measured.added(Around::OursWithTable, Around::Nothing);
    let table = median(with_table.iter().zip(&ours).map(|(with, without)| with - without));
    report::judged(
        "a table of 100 routes, in ns, beside one policy",
        &nanoseconds(median(with_table)),
        &nanoseconds(median(ours)),
        table,
        Bar::AtMost(100.0),
    );
}
