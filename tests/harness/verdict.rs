//! Whether everything that was accepted came to the one end that is right for it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    time::Duration,
};

use http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    dice::Dice,
    ledger::{Fault, Moment},
    load::{Acknowledged, Answers, Http},
};

/// No operation takes longer to end once nothing goes wrong any more: leases, rests between attempts, and what is queued.
const SETTLED: Duration = Duration::from_secs(90);

/// An operation's state, as the monitor tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    name: String,
    error: Option<String>,
}

impl State {
    fn is_terminal(&self) -> bool {
        !matches!(&*self.name, "queued" | "running")
    }

    fn of(document: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(document).ok()?;
        let error = document["error"]["code"].as_str().map(str::to_owned);
        Some(Self { name: document["status"].as_str()?.to_owned(), error })
    }
}

/// Looks at operations while things go wrong: none may be unknown, and none may leave its end.
pub(crate) async fn watch(http: Http, answers: &Answers, ports: &[u16], mut dice: Dice, until: Instant) {
    let mut ended = HashMap::<String, State>::new();
    while Instant::now() < until {
        sleep(dice.milliseconds(5, 60)).await;
        let looked_at = {
            let acknowledged = answers.acknowledged.lock().unwrap();
            if acknowledged.is_empty() {
                continue;
            }
            // The latest more often than others.
            let back =
                if dice.one_in(2) { dice.below(acknowledged.len().min(3)) } else { dice.below(acknowledged.len()) };
            acknowledged[acknowledged.len() - 1 - back].clone()
        };
        let Some(found) = state(&http, &looked_at, *dice.one_of(ports), answers).await else { continue };
        let before = ended.get(&looked_at.location);
        if before.is_some_and(|before| *before != found) {
            answers.violation(format!("{}: was {before:?}, is {found:?}", looked_at.order.payload));
        }
        if found.is_terminal() {
            ended.insert(looked_at.location, found);
        }
    }
}

/// The state of an operation. None where it cannot be had.
async fn state(http: &Http, of: &Acknowledged, port: u16, answers: &Answers) -> Option<State> {
    let answer = http.get(port, &format!("{}/status", of.location)).await?;
    match answer.status {
        StatusCode::OK => State::of(&answer.body),
        StatusCode::SERVICE_UNAVAILABLE => None,
        other => {
            answers.violation(format!("{} at {}: its status is {other}", of.order.payload, of.location));
            None
        }
    }
}

/// What became of everything.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) ends: BTreeMap<String, usize>,
    pub(crate) runs: usize,
    pub(crate) second_runs: usize,
}

/// Waits until every operation has ended, looks at each twice, and holds what was found against what was asked for.
pub(crate) async fn judge(http: &Http, answers: &Answers, ports: &[u16], faults: &[Fault], journal: &Path) -> Verdict {
    let mut verdict = Verdict::default();
    let deadline = Instant::now() + SETTLED;
    let mut ended = Vec::new();
    let mut names = HashMap::<String, String>::new();
    for one in distinct(answers) {
        if let Some(other) = names.insert(one.order.payload.clone(), one.location.clone()) {
            answers.violation(format!("{}: is two operations, {other} and {}", one.order.payload, one.location));
        }
        match end(http, &one, ports, deadline, answers).await {
            Some(state) => ended.push((one, state)),
            None => answers.violation(format!("{} at {}: has not ended", one.order.payload, one.location)),
        }
    }
    let runs = Runs::read(journal);
    for (one, state) in &ended {
        let told = match &state.error {
            Some(error) => format!("{} ({error})", state.name),
            None => state.name.clone(),
        };
        *verdict.ends.entry(told).or_default() += 1;
        if let Err(wrong) = judge_one(http, one, state, ports, &runs, faults).await {
            answers.violation(format!("{} at {}: {wrong}; runs: {:?}", one.order.payload, one.location, runs.of(one)));
        }
    }
    runs.judge(faults, answers, &mut verdict);
    verdict
}

fn distinct(answers: &Answers) -> Vec<Acknowledged> {
    let mut all = answers.acknowledged.lock().unwrap().clone();
    all.sort_by(|one, other| one.location.cmp(&other.location));
    all.dedup_by(|one, other| one.location == other.location && one.order.payload == other.order.payload);
    all
}

async fn end(http: &Http, of: &Acknowledged, ports: &[u16], deadline: Instant, answers: &Answers) -> Option<State> {
    for port in ports.iter().cycle() {
        match state(http, of, *port, answers).await {
            Some(state) if state.is_terminal() => return Some(state),
            _ if Instant::now() >= deadline => return None,
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
    None
}

async fn judge_one(
    http: &Http,
    one: &Acknowledged,
    state: &State,
    ports: &[u16],
    runs: &Runs,
    faults: &[Fault],
) -> Result<(), String> {
    /// So many attempts may fail.
    const ATTEMPTS: usize = 10;
    for port in ports {
        let path = format!("{}/status", one.location);
        let again = http.get(*port, &path).await.and_then(|answer| State::of(&answer.body));
        if again.as_ref() != Some(state) {
            return Err(format!("was {state:?}, is {again:?}"));
        }
    }
    let path = format!("{}/result", one.location);
    let result = http.get(ports[0], &path).await.ok_or("its reply cannot be had")?;
    match (&*state.name, state.error.as_deref()) {
        ("succeeded", None) => match result.status == StatusCode::OK && result.body == one.order.reply() {
            true => Ok(()),
            false => Err(format!("its reply is {} {}", result.status, result.body)),
        },
        ("failed", Some("lost")) if one.order.is_durable && runs.of(one).len() >= ATTEMPTS => Ok(()),
        ("failed", Some("lost" | "interrupted")) if !one.order.is_durable => {
            // Its end waits for the store.
            let outages =
                faults.iter().filter(|fault| fault.victim.is_none() && fault.hits("", one.at, one.at + 5_000));
            let outage: Moment = outages.map(|fault| fault.until - fault.from).sum();
            let (front, until) = (&*one.front, one.at + 5_000 + outage);
            // An outage of the store is no reason: the replica goes on, and the store will hear of it.
            let is_reason = |fault: &&Fault| fault.victim.is_some() || one.order.is_keyed;
            match faults.iter().filter(is_reason).any(|fault| fault.hits(front, one.at, until)) {
                true => Ok(()),
                false => Err(format!("{state:?}, and nothing was done to the replica {front}")),
            }
        }
        _ => Err(format!("{state:?}")),
    }
}

/// A run of a handler.
#[derive(Clone, Debug)]
struct Run {
    at: Moment,
    replica: String,
}

#[derive(Debug)]
struct Runs {
    by_payload: BTreeMap<String, Vec<Run>>,
}

impl Runs {
    fn read(journal: &Path) -> Self {
        let mut by_payload = BTreeMap::<_, Vec<_>>::new();
        for line in fs::read_to_string(journal).unwrap_or_default().lines() {
            let mut words = line.split(' ');
            let (Some(at), Some(replica), Some(payload)) = (words.next(), words.next(), words.next()) else { continue };
            let run = Run { at: at.parse().unwrap(), replica: replica.to_owned() };
            by_payload.entry(payload.to_owned()).or_default().push(run);
        }
        Self { by_payload }
    }

    fn of(&self, one: &Acknowledged) -> &[Run] {
        self.by_payload.get(&one.order.payload).map_or(&[], Vec::as_slice)
    }

    /// What is not durable runs once at most; what is runs again only if something was done to the replica that ran it.
    fn judge(&self, faults: &[Fault], answers: &Answers, verdict: &mut Verdict) {
        for (payload, runs) in &self.by_payload {
            verdict.runs += runs.len();
            verdict.second_runs += runs.len() - 1;
            if payload.contains("report") && runs.len() > 1 {
                answers.violation(format!("{payload}: ran more than once: {runs:?}"));
            }
            for (run, next) in runs.iter().zip(&runs[1..]) {
                if !faults.iter().any(|fault| fault.hits(&run.replica, run.at, next.at)) {
                    answers.violation(format!("{payload}: ran again for no reason: {run:?}, then {next:?}"));
                }
            }
        }
    }
}
