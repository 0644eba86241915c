//! Who ran what, and when: what the replicas wrote down while they did.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    sync::Arc,
};

use crate::{
    ledger::{Fault, Moment},
    order::Order,
};

/// What was claimed, or accepted by its key, begins so soon where nothing goes wrong.
const BEGUN: Moment = 1_000;

/// Once a handler has ended, its reply is in the store so soon, where nothing goes wrong.
const STORED: Moment = 1_000;

/// A run of a handler.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    begun: Moment,
    /// None where its process has died.
    ended: Option<Moment>,
    replica: Arc<str>,
}

/// The runs of an order.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    is_durable: bool,
    runs: Vec<Run>,
}

#[derive(Debug, Default)]
pub(crate) struct Journal(HashMap<usize, Runs>);

/// How much was run.
#[derive(Debug, Default)]
pub(crate) struct Executions {
    all: usize,
    /// Those that were not the first of their operation.
    second: usize,
    /// Those that a fault hit while they ran.
    hit: usize,
}

impl fmt::Display for Executions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, second, hit } = self;
        write!(formatter, "{all} executions, {second} of them second ones, where faults hit {hit} while they ran")
    }
}

impl Journal {
    pub(crate) fn read(path: &Path) -> Self {
        Self::of_lines(BufReader::new(File::open(path).unwrap()).lines().map(Result::unwrap))
    }

    fn of_lines(lines: impl Iterator<Item = String>) -> Self {
        let (mut journal, mut names) = (Self::default(), BTreeSet::<Arc<str>>::new());
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            let &[at, name, what, payload] = &*words else { panic!("not a line of the journal: {line}") };
            let at = at.parse().unwrap();
            let (number, is_durable) = Order::named(payload).unwrap();
            let of = journal.0.entry(number).or_default();
            of.is_durable = is_durable;
            if what == "begins" {
                let known = names.get(name).cloned();
                let replica = known.unwrap_or_else(|| name.into());
                names.insert(Arc::clone(&replica));
                of.runs.push(Run { begun: at, ended: None, replica });
            } else if let Some(run) = of.runs.iter_mut().rfind(|run| &*run.replica == name) {
                run.ended = Some(at);
            }
        }
        journal
    }

    pub(crate) fn of(&self, order: &Order) -> &[Run] {
        self.0.get(&order.number).map_or(&[], |of| &of.runs)
    }

    /// What is not durable runs once at most; what is runs again only if something was done to the replica that ran it,
    /// while it did.
    pub(crate) fn judge(&self, faults: &[Fault]) -> (Executions, Vec<String>) {
        let (mut executions, mut violations) = (Executions::default(), Vec::new());
        for (number, Runs { is_durable, runs }) in &self.0 {
            executions.all += runs.len();
            executions.second += runs.len() - 1;
            executions.hit += runs.iter().filter(|run| run.is_hit(faults)).count();
            if !is_durable && runs.len() > 1 {
                violations.push(format!("order {number}: ran more than once: {runs:?}"));
            }
            for (run, next) in runs.iter().zip(&runs[1..]) {
                // An attempt that was claimed and has then been hit may begin after another has, in vain.
                if !run.is_harmed(next.begun, faults) && !next.is_late(faults) {
                    violations.push(format!("order {number}: ran again for no reason: {run:?}, then {next:?}"));
                }
            }
        }
        if executions.second > executions.hit {
            violations.push(format!("more second executions than were hit: {executions:?}"));
        }
        (executions, violations)
    }
}

impl Run {
    fn is_hit(&self, faults: &[Fault]) -> bool {
        let hits = |ended| faults.iter().any(|fault| fault.hits(&self.replica, self.begun, ended));
        self.ended.is_none_or(hits)
    }

    /// Whether there is reason enough for another run.
    fn is_harmed(&self, next: Moment, faults: &[Fault]) -> bool {
        let until = self.ended.map_or(next, |ended| ended + STORED);
        faults.iter().any(|fault| self.is_harmed_by(fault, until))
    }

    fn is_harmed_by(&self, fault: &Fault, until: Moment) -> bool {
        fault.harms(&self.replica, self.begun - BEGUN, until)
    }

    /// Whether something was done to it before it began.
    fn is_late(&self, faults: &[Fault]) -> bool {
        faults.iter().any(|fault| fault.hits(&self.replica, self.begun - BEGUN, self.begun))
    }

    /// Whether there is reason enough for it to be lost, where it may not run again.
    pub(crate) fn may_be_lost(&self, is_keyed: bool, faults: &[Fault]) -> bool {
        let Some(ended) = self.ended else { return true };
        let mut of_its_replica: Vec<_> =
            faults.iter().filter(|fault| fault.harms(&self.replica, 0, Moment::MAX)).collect();
        of_its_replica.sort_by_key(|fault| fault.from);
        let mut until = ended + STORED;
        for fault in of_its_replica {
            if !self.is_harmed_by(fault, until) {
                continue;
            }
            // An outage of the store is no reason: the replica goes on, and the store will hear of it once it is back.
            if fault.victim.is_some() || is_keyed {
                return true;
            }
            until = until.max(fault.until + STORED);
        }
        false
    }
}

/// One order runs twice, first from 10,000 to 10,500 by `both`, while or before or after which there is one fault.
#[cfg(test)]
fn violations(victim: Option<&str>, from: Moment, until: Moment) -> usize {
    let lines =
        ["10000 both begins job-1", "10500 both ends job-1", "20000 worker begins job-1", "20500 worker ends job-1"];
    let fault = Fault { kind: "fault".to_owned(), victim: victim.map(str::to_owned), from, until };
    Journal::of_lines(lines.map(str::to_owned).into_iter()).judge(&[fault]).1.len()
}

#[test]
fn only_a_fault_that_hit_the_first_run_is_reason_for_a_second() {
    assert_eq!(violations(Some("both"), 10_200, 10_300), 0);
    assert_eq!(violations(None, 10_200, 10_300), 0);
    assert_ne!(violations(Some("api"), 10_200, 10_300), 0);
    assert_ne!(violations(Some("worker"), 10_200, 10_300), 0);
    assert_ne!(violations(Some("both"), 12_000, 19_000), 0);
    assert_ne!(violations(Some("both"), 1_000, 6_000), 0);
}
