//! The life of operations against a small model: whatever is done in whatever order, states, refusals and counts are
//! the model's.

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use http::{Method, Response};
use proptest::prelude::*;
use tokio::{sync::oneshot, time::sleep};
use tower::{Layer, service_fn};
use tower_respond_async::{AtLimit, Operations, Policy};

use crate::support::{Incoming, SECOND, ask, owned, post, send};

/// Time passes in whole seconds; these limits lie between them, so that the sweeper has the time it may take.
const MAX_RUN_TIME: Duration = Duration::from_millis(29_200);
const RETENTION: Duration = Duration::from_millis(9_900);
const TIMED_OUT_AFTER: u64 = 30;
const FORGOTTEN_AFTER: u64 = 10;
const MAX_OPERATIONS: usize = 5;
const MAX_PER_OWNER: usize = 3;

/// Who asks. The third is nobody.
const USERS: [&[(&str, &str)]; 3] = [&[("x-user", "ann")], &[("x-user", "bob")], &[]];

#[derive(Clone, Debug)]
enum Command {
    Submit { by: usize },
    Reply { to: usize, status: u16 },
    Panic { of: usize },
    Delete { what: usize, by: usize },
    Poll { what: usize, by: usize },
    List { by: usize },
    Pass { seconds: u64 },
}

fn command() -> impl Strategy<Value = Command> {
    let (by, what) = (0..USERS.len(), 0..20_usize);
    prop_oneof![
        4 => by.clone().prop_map(|by| Command::Submit { by }),
        2 => (what.clone(), prop_oneof![Just(200), Just(404), Just(500)]).prop_map(|(to, status)| Command::Reply { to, status }),
        1 => what.clone().prop_map(|of| Command::Panic { of }),
        2 => (what.clone(), by.clone()).prop_map(|(what, by)| Command::Delete { what, by }),
        3 => (what, by.clone()).prop_map(|(what, by)| Command::Poll { what, by }),
        1 => by.prop_map(|by| Command::List { by }),
        3 => (1..15_u64).prop_map(|seconds| Command::Pass { seconds }),
    ]
}

/// What the model knows of one operation.
#[derive(Debug)]
struct Modelled {
    location: String,
    owner: usize,
    begun: u64,
    /// How and when it ended.
    end: Option<(&'static str, u64)>,
    forgotten: bool,
}

impl Modelled {
    /// What it is at this time; `None` where nobody knows it any more.
    fn state(&self, now: u64) -> Option<&'static str> {
        let timed_out = self.begun + TIMED_OUT_AFTER;
        let end = self.end.or((now >= timed_out).then_some(("failed", timed_out)));
        match end {
            _ if self.forgotten => None,
            None => Some("running"),
            Some((state, at)) => (now < at + FORGOTTEN_AFTER).then_some(state),
        }
    }

    fn end(&mut self, state: &'static str, now: u64) {
        if self.state(now) == Some("running") {
            self.end = Some((state, now));
        }
    }
}

type Told = oneshot::Sender<Option<u16>>;

/// The real thing and the model, side by side.
struct Life {
    operations: Operations,
    modelled: Vec<Modelled>,
    handlers: Vec<Option<Told>>,
    now: u64,
}

impl Life {
    fn new() -> Self {
        let operations = owned().max_operations(MAX_OPERATIONS).max_operations_per_owner(MAX_PER_OWNER);
        Self { operations: operations.build().unwrap(), modelled: Vec::new(), handlers: Vec::new(), now: 0 }
    }

    async fn apply(&mut self, command: &Command) {
        let count = self.modelled.len().max(1);
        match *command {
            Command::Submit { by } => self.submit(by).await,
            Command::Reply { to, status } => self.tell(to % count, Some(status)).await,
            Command::Panic { of } => self.tell(of % count, None).await,
            Command::Delete { what, by } => self.delete(what % count, by).await,
            Command::Poll { what, by } => self.poll(what % count, by).await,
            Command::List { by } => self.list(by).await,
            Command::Pass { seconds } => {
                sleep(SECOND * u32::try_from(seconds).unwrap()).await;
                self.now += seconds;
            }
        }
        let running = self.running(|_| true);
        assert_eq!(self.operations.in_flight(), running, "in flight");
    }

    fn running(&self, of: impl Fn(&Modelled) -> bool) -> usize {
        self.modelled.iter().filter(|it| of(it) && it.state(self.now) == Some("running")).count()
    }

    async fn submit(&mut self, by: usize) {
        let (tell, told): (Told, _) = oneshot::channel();
        let mut told = Some(told);
        let service = service_fn(|_: Incoming| {
            let told = told.take().unwrap();
            async {
                let status = told.await.unwrap().expect("told to panic");
                Ok::<_, Infallible>(Response::builder().status(status).body(String::new()).unwrap())
            }
        });
        let policy = Policy::new().budget(Duration::ZERO).max_run_time(MAX_RUN_TIME).retention(RETENTION);
        let layer = self.operations.layer(policy.at_every_limit(AtLimit::Unavailable));
        let answer = send(layer.layer(service), post(USERS[by])).await;
        let owner_is_full = by < 2 && self.running(|it| it.owner == by) == MAX_PER_OWNER;
        if owner_is_full || self.running(|_| true) == MAX_OPERATIONS {
            assert_eq!(answer.status, 503);
            return;
        }
        assert_eq!(answer.status, 202);
        let location = answer.header("location").to_owned();
        self.modelled.push(Modelled { location, owner: by, begun: self.now, end: None, forgotten: false });
        self.handlers.push(Some(tell));
    }

    /// Has the handler answer or panic, unless it is gone.
    async fn tell(&mut self, which: usize, status: Option<u16>) {
        let Some(operation) = self.modelled.get_mut(which) else { return };
        if let Some(tell) = self.handlers[which].take() {
            let runs = operation.state(self.now) == Some("running");
            assert_eq!(tell.send(status).is_ok(), runs, "its handler is there as long as it runs");
            operation.end(if status == Some(200) { "succeeded" } else { "failed" }, self.now);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn delete(&mut self, which: usize, by: usize) {
        let Some(operation) = self.modelled.get_mut(which) else { return };
        let answer = ask(&self.operations, Method::DELETE, &operation.location, USERS[by]).await;
        match operation.state(self.now) {
            Some("running") if operation.owner == by => {
                assert_eq!(answer.status, 204);
                operation.end("canceled", self.now);
            }
            Some(_) if operation.owner == by => {
                assert_eq!(answer.status, 204);
                operation.forgotten = true;
            }
            _ => assert_eq!(answer.status, 404),
        }
    }

    async fn poll(&self, which: usize, by: usize) {
        let Some(operation) = self.modelled.get(which) else { return };
        let expected = operation.state(self.now).filter(|_| operation.owner == by);
        let poll = async |resource| {
            let path = format!("{}{resource}", operation.location);
            ask(&self.operations, Method::GET, &path, USERS[by]).await
        };
        let (monitor, status, result) = (poll("").await, poll("/status").await, poll("/result").await);
        let statuses = [&monitor, &status].map(|answer| answer.status.as_u16());
        match expected {
            None => assert_eq!((statuses, result.status.as_u16()), ([404, 404], 404)),
            Some(state) => {
                let running = state == "running";
                assert_eq!(statuses, [if running { 202 } else { 303 }, 200]);
                assert_eq!(status.json()["status"], state);
                assert_eq!(result.headers.contains_key("retry-after"), running);
                assert_eq!(result.status.is_success(), state == "succeeded");
            }
        }
    }

    async fn list(&self, by: usize) {
        let answer = ask(&self.operations, Method::GET, "/operations", USERS[by]).await;
        if by == 2 {
            assert_eq!(answer.status, 404);
            return;
        }
        let document = answer.json();
        let listed = document["operations"].as_array().unwrap();
        let created: Vec<_> = listed.iter().map(|it| it["created"].as_str().unwrap()).collect();
        assert!(created.is_sorted_by(|newer, older| newer >= older), "{created:?}");
        let listed: BTreeSet<_> =
            listed.iter().map(|it| (it["location"].as_str().unwrap(), it["status"].as_str().unwrap())).collect();
        let expected = self.modelled.iter().filter(|it| it.owner == by);
        let expected = expected.filter_map(|it| Some((&*it.location, it.state(self.now)?)));
        assert_eq!(listed, expected.collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn operations_live_as_the_model_says(commands in prop::collection::vec(command(), 1..60)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
            let mut life = Life::new();
            for command in &commands {
                life.apply(command).await;
            }
            // In the end, nothing is left of any of them.
            life.apply(&Command::Pass { seconds: TIMED_OUT_AFTER + FORGOTTEN_AFTER }).await;
            for which in 0..life.modelled.len() {
                life.poll(which, life.modelled[which].owner).await;
            }
            for by in 0..USERS.len() {
                life.list(by).await;
            }
        });
    }
}
