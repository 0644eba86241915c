//! Whether everything that was accepted came to the one end that is right for it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    answers::{Acknowledged, Answers, State},
    client::Http,
    journal::{Executions, Journal},
    ledger::{Fault, Moment},
    load::state,
};

/// No operation takes longer to end once nothing goes wrong any more: leases, rests between attempts, and what is
/// queued.
const SETTLED: Duration = Duration::from_secs(90);

/// How long a replica may fail to tell what is known to have ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked for twice is within this time, in milliseconds.
const NEAR: Moment = 5_000;

/// So many are judged at a time.
const JUDGES: usize = 16;

/// What became of everything.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) ends: BTreeMap<String, usize>,
    pub(crate) executions: Executions,
}

/// What is known once nothing goes wrong any more.
struct Court {
    http: Http,
    answers: Arc<Answers>,
    ports: Vec<u16>,
    faults: Vec<Fault>,
    journal: Journal,
    deadline: Instant,
    next: AtomicUsize,
    ends: Mutex<BTreeMap<String, usize>>,
}

/// Waits until every operation has ended, looks at each at every replica, and holds what is found against what was
/// asked for.
pub(crate) async fn judge(
    http: &Http,
    answers: &Arc<Answers>,
    ports: &[u16],
    faults: &[Fault],
    folder: &Path,
) -> Verdict {
    let deadline = Instant::now() + SETTLED;
    let mut court = Court {
        http: http.clone(),
        answers: Arc::clone(answers),
        ports: ports.to_owned(),
        faults: faults.to_owned(),
        journal: Journal::default(),
        deadline,
        next: AtomicUsize::new(0),
        ends: Mutex::default(),
    };
    court.until_all_have_ended().await;
    court.journal = Journal::read(&folder.join("journal"));
    let court = Arc::new(court);
    let mut judges: JoinSet<_> = (0..JUDGES).map(|_| Arc::clone(&court).judge_some()).collect();
    while let Some(done) = judges.join_next().await {
        done.unwrap();
    }
    let (executions, violations) = court.journal.judge(faults);
    violations.into_iter().for_each(|violation| answers.violation(violation));
    let ends = court.ends.lock().unwrap().clone();
    Verdict { ends, executions }
}

impl Court {
    /// What is not seen to end by then has not: it is found out by the judges.
    async fn until_all_have_ended(&self) {
        for number in 0..self.answers.accepted() {
            let one = self.answers.nth(number).unwrap();
            if self.answers.end_of(&one).is_none() {
                let _told_later = self.end(&one, self.deadline).await;
            }
        }
    }

    async fn judge_some(self: Arc<Self>) {
        while let Some(one) = self.answers.nth(self.next.fetch_add(1, Ordering::Relaxed)) {
            let told = self.judge_one(&one).await.unwrap_or_else(|wrong| {
                let (payload, location, runs) = (one.order.payload(), one.location(), self.journal.of(&one.order));
                self.answers.violation(format!("{payload} at {location}: {wrong}; runs: {runs:?}"));
                "not as it should be".to_owned()
            });
            *self.ends.lock().unwrap().entry(told).or_default() += 1;
        }
    }

    async fn end(&self, of: &Acknowledged, deadline: Instant) -> Option<State> {
        for port in self.ports.iter().cycle() {
            match state(&self.http, of, *port, &self.answers).await {
                Some(state) if state.is_terminal() => return Some(state),
                _ if Instant::now() >= deadline => return None,
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
        None
    }

    /// What it came to, or what is wrong with that.
    async fn judge_one(&self, one: &Acknowledged) -> Result<String, String> {
        let state = self.end(one, self.deadline.max(Instant::now() + PATIENCE)).await.ok_or("has not ended")?;
        for port in &self.ports {
            let path = format!("{}/status", one.location());
            let again = self.http.get(*port, &path).await.and_then(|answer| State::of(&answer.body));
            if again.as_ref() != Some(&state) {
                return Err(format!("was {state:?}, is {again:?}"));
            }
        }
        self.judge_end(one, &state).await?;
        let execution = if one.order.is_durable { "durable" } else { "detached" };
        Ok(match state.error {
            Some(error) => format!("{execution} {} ({error})", state.name),
            None => format!("{execution} {}", state.name),
        })
    }

    async fn judge_end(&self, one: &Acknowledged, state: &State) -> Result<(), String> {
        let order = &one.order;
        let path = format!("{}/result", one.location());
        let result = self.http.get(self.ports[0], &path).await.ok_or("its reply cannot be had")?;
        let runs = self.journal.of(order);
        match (&*state.name, state.error.as_deref()) {
            ("succeeded", None) => match result.status == StatusCode::OK && result.body == order.reply() {
                true => Ok(()),
                false => Err(format!("its reply is {} {}", result.status, result.body)),
            },
            ("failed", Some("lost" | "interrupted")) if !order.is_durable => {
                let has_reason = match runs {
                    [] => order.is_keyed && self.may_not_have_begun(one),
                    [run, ..] => run.may_be_lost(order.is_keyed, &self.faults),
                };
                match has_reason {
                    true => Ok(()),
                    false => Err(format!("{state:?}, and nothing was done to the replica that ran it")),
                }
            }
            _ => Err(format!("{state:?}")),
        }
    }

    /// What was named by a key was accepted before it began, which it never did where the replica died that took it,
    /// and another than that may have told so.
    fn may_not_have_begun(&self, one: &Acknowledged) -> bool {
        let (from, until) = (one.at - NEAR, one.at + NEAR);
        self.faults.iter().any(|fault| fault.victim.is_some() && fault.from <= until && from <= fault.until)
    }
}
