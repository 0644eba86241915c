//! The same calls as in `fast_path`, in instructions, which no neighbour on the machine disturbs.
//!
//! Runs itself under valgrind, with fewer and with more calls; the difference is what the calls take.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]

mod support;

use std::{env, process::Command};

use bytes::Bytes;
use http_body_util::{Empty, Full};
use support::{
    Timers,
    callees::{Around, Pace, calls},
    report::{self, Bar},
};
use tokio::task::unconstrained;

/// Tells the child what to call: what stands around the service, its pace, with or without a body, how often.
const CHILD: &str = "FAST_PATH_INSTRUCTIONS_OF";
/// In batches, as their requests are made in advance and should not fill the memory.
const BATCH: usize = 64;
const FEW: usize = 20;
const MANY: usize = 60;

fn main() {
    if let Ok(task) = env::var(CHILD) {
        return child(&task);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("fast_path_instructions needs valgrind (Debian: apt-get install valgrind)");
        return;
    }
    for (pace_number, pace) in Pace::ALL.into_iter().enumerate() {
        for (body, title) in [(0, "requests without a body"), (1, "requests with a body")] {
            let counted = Around::ALL.map(|around| instructions(around, pace_number, body));
            report(&format!("{}, {title}", pace.name()), pace, counted);
        }
    }
}

fn child(task: &str) {
    let numbers: Vec<usize> = task.split(' ').map(|number| number.parse().unwrap()).collect();
    let [around, pace, body, count] = numbers[..] else { return };
    let (around, pace) = (Around::ALL[around], Pace::ALL[pace]);
    let calls = match body {
        0 => calls(around, pace, Empty::new()),
        _ => calls(around, pace, Full::new(Bytes::from_static(b"{\"scene\":\"teapot\",\"tiles\":10}"))),
    };
    let runtime = Timers::AnotherFirst.runtime();
    for _ in 0..count {
        runtime.block_on(async { tokio::spawn(unconstrained(calls(BATCH))).await.unwrap() });
    }
}

/// Instructions per call.
fn instructions(around: Around, pace: usize, body: usize) -> f64 {
    let total = |count: usize| {
        let place = Around::ALL.iter().position(|one| *one == around).unwrap();
        let run = Command::new("valgrind")
            .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
            .arg(env::current_exe().unwrap())
            .env(CHILD, format!("{place} {pace} {body} {count}"))
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&run.stderr).into_owned();
        let count =
            log.lines().find_map(|line| line.split_once("refs:")).map(|(_, count)| count.trim().replace(',', ""));
        count
            .and_then(|count| count.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("no count of instructions in:\n{log}"))
    };
    (total(MANY) - total(FEW)) / ((MANY - FEW) * BATCH) as f64
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
