//! The clients: what they do, and what they make of what they are answered.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::StatusCode;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    answers::{Acknowledged, Answers, State},
    client::Http,
    course::Load,
    dice::Dice,
    ledger::now,
    order::Order,
};

/// A replica that takes orders.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// So many clients at most wait for an answer.
const CLIENTS: usize = 400;

impl Load {
    /// How long until somebody else comes.
    fn pause(self, dice: &mut Dice) -> Duration {
        match self {
            Self::Light => dice.milliseconds(20, 250),
            Self::Heavy => dice.milliseconds(1, 6),
        }
    }
}

/// Asks for work at these replicas until it is over, and returns once everything is answered.
pub(crate) async fn ask(asker: Asker, fronts: Vec<Front>, load: Load, mut dice: Dice, over: CancellationToken) {
    let (mut asking, clients) = (JoinSet::new(), Arc::new(Semaphore::new(CLIENTS)));
    let mut number = 0;
    while !over.is_cancelled() {
        sleep(load.pause(&mut dice)).await;
        let client = Arc::clone(&clients).acquire_owned().await.unwrap();
        number += 1;
        let (order, fronts, mut dice) = (Order::new(number, load, &mut dice), fronts.clone(), dice.split());
        let asker = asker.clone();
        asking.spawn(async move {
            let accepted = asker.see_through(order, &fronts, &mut dice).await;
            drop(client);
            if let Some(accepted) = accepted {
                asker.look_again(&accepted, &fronts, dice).await;
            }
        });
        while let Some(done) = asking.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap();
    }
}

/// A client that keeps a list of what was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    http: Http,
    answers: Arc<Answers>,
    log: Arc<File>,
}

impl Asker {
    pub(crate) fn new(http: Http, answers: Arc<Answers>, log: &Path) -> Self {
        let log = Arc::new(File::options().append(true).create(true).open(log).unwrap());
        Self { http, answers, log }
    }

    /// Sends it, and if it has a key once more, maybe to another replica.
    pub(crate) async fn see_through(&self, order: Order, fronts: &[Front], dice: &mut Dice) -> Option<Acknowledged> {
        let front = dice.one_of(fronts);
        if !order.is_keyed {
            return self.submit(order, front).await;
        }
        let (pause, other) = (dice.milliseconds(0, 2_000), dice.one_of(fronts));
        let again = async {
            sleep(pause).await;
            self.submit(order, other).await
        };
        let (first, second) = tokio::join!(self.submit(order, front), again);
        first.or(second)
    }

    async fn submit(&self, order: Order, front: &Front) -> Option<Acknowledged> {
        let at = now();
        let Some(answer) = self.http.post(front.port, &order).await else {
            self.answers.unanswered.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let payload = order.payload();
        let counter = match (answer.status, answer.location) {
            (StatusCode::ACCEPTED, Some(location)) => {
                writeln!(&*self.log, "{at} {} {location} {payload}", front.name).unwrap();
                return self.answers.accept(order, &location, at);
            }
            (StatusCode::OK, None) if answer.body == order.reply() => &self.answers.in_line,
            // The durable ones are turned away where they cannot be stored; what was named by a key tells how it ended.
            (StatusCode::SERVICE_UNAVAILABLE, None) => &self.answers.turned_away,
            (StatusCode::INTERNAL_SERVER_ERROR, None)
                if order.is_keyed && !order.is_durable && is_of_a_death(&answer.body) =>
            {
                &self.answers.turned_away
            }
            (status, location) => {
                self.answers.violation(format!("{payload}: answered {status} {location:?} {}", answer.body));
                return None;
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Looks at what was accepted some time ago.
    async fn look_again(&self, accepted: &Acknowledged, fronts: &[Front], mut dice: Dice) {
        sleep(dice.milliseconds(300, 3_000)).await;
        let _elsewhere = state(&self.http, accepted, dice.one_of(fronts).port, &self.answers).await;
    }
}

/// Looks at operations while things go wrong: none may be unknown, and none may leave its end.
pub(crate) async fn watch(http: Http, answers: &Answers, ports: &[u16], mut dice: Dice, over: CancellationToken) {
    while !over.is_cancelled() {
        sleep(dice.milliseconds(5, 60)).await;
        if let Some(one) = answers.any(&mut dice) {
            let _unknown_for_now = state(&http, &one, *dice.one_of(ports), answers).await;
        }
    }
}

/// The state of an operation, which is not to be another than before. None where it cannot be had.
pub(crate) async fn state(http: &Http, of: &Acknowledged, port: u16, answers: &Answers) -> Option<State> {
    let before = answers.end_of(of);
    let answer = http.get(port, &format!("{}/status", of.location())).await?;
    match answer.status {
        StatusCode::OK => {
            let state = State::of(&answer.body)?;
            answers.saw(of, before, &state);
            Some(state)
        }
        StatusCode::SERVICE_UNAVAILABLE => None,
        other => {
            answers.violation(format!("{} at {}: its status is {other}", of.order.payload(), of.location()));
            None
        }
    }
}

/// Whether the problem is that the replica has died, or was told to.
fn is_of_a_death(problem: &str) -> bool {
    ["lost", "interrupted"].iter().any(|word| problem.contains(word))
}
