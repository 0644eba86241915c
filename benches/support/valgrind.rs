//! Instructions, which no neighbour on the machine disturbs.
//!
//! A benchmark runs itself under valgrind, with fewer and with more calls; the difference is what the calls take.

use std::{env, process::Command};

use tokio::runtime::Runtime;

use super::{callees::Calls, rounds::run};

/// Tells the child what to call, and how often.
const CHILD: &str = "INSTRUCTIONS_OF";
/// In batches, as their requests are made in advance and should not fill the memory.
const BATCH: usize = 64;
const FEW: usize = 20;
const MANY: usize = 60;

/// What this process is to call, if it is such a child: the number of the alternative, and a number of batches for
/// [`make`].
pub(crate) fn task() -> Option<(usize, usize)> {
    let task = env::var(CHILD).ok()?;
    let (alternative, batches) = task.split_once(' ').unwrap();
    Some((alternative.parse().unwrap(), batches.parse().unwrap()))
}

pub(crate) fn make(batches: usize, runtime: &Runtime, calls: &Calls) {
    for _ in 0..batches {
        run(runtime, calls, BATCH);
    }
}

/// Whether there is a valgrind. Says so where there is none.
pub(crate) fn is_there() -> bool {
    let is_there = Command::new("valgrind").arg("--version").output().is_ok();
    if !is_there {
        println!("instructions are counted by valgrind (Debian: apt-get install valgrind)");
    }
    is_there
}

/// Instructions per call of an alternative.
pub(crate) fn instructions(alternative: usize) -> f64 {
    (total(alternative, MANY) - total(alternative, FEW)) / ((MANY - FEW) * BATCH) as f64
}

fn total(alternative: usize, batches: usize) -> f64 {
    let run = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .env(CHILD, format!("{alternative} {batches}"))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&run.stderr).into_owned();
    let count = log.lines().find_map(|line| line.split_once("refs:")).map(|(_, count)| count.trim().replace(',', ""));
    count.and_then(|count| count.parse::<f64>().ok()).unwrap_or_else(|| panic!("no count of instructions in:\n{log}"))
}
