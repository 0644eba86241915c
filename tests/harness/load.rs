//! The clients: what they ask for, and what they are answered.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hmac_sha256::Hash;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    dice::Dice,
    ledger::{Moment, now},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// Unlike any other.
    pub(crate) payload: String,
    pub(crate) is_durable: bool,
    pub(crate) is_keyed: bool,
    prefers_async: bool,
    milliseconds: u64,
}

impl Order {
    pub(crate) fn new(number: usize, dice: &mut Dice) -> Self {
        let (is_durable, is_keyed) = (!dice.one_in(3), dice.one_in(3));
        let kind = match (is_durable, is_keyed) {
            (true, true) => "keyed-job",
            (true, false) => "job",
            (false, true) => "keyed-report",
            (false, false) => "report",
        };
        Self {
            payload: format!("{kind}-{number}"),
            is_durable,
            is_keyed,
            prefers_async: dice.one_in(3),
            milliseconds: dice.below(2_500) as u64,
        }
    }

    /// The reply that belongs to it.
    pub(crate) fn reply(&self) -> String {
        let rounds = self.milliseconds.div_ceil(10);
        let fingerprint =
            (0..rounds).fold(Hash::hash(self.payload.as_bytes()), |fingerprint, _| Hash::hash(&fingerprint));
        let hexadecimal: String = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        hexadecimal + "\n"
    }
}

/// An order that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) order: Order,
    pub(crate) location: String,
    /// The replica that took it.
    pub(crate) front: String,
    pub(crate) at: Moment,
}

/// A replica that takes orders.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// What the clients were answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) acknowledged: Mutex<Vec<Acknowledged>>,
    pub(crate) in_line: AtomicUsize,
    pub(crate) turned_away: AtomicUsize,
    pub(crate) unanswered: AtomicUsize,
    pub(crate) violations: Mutex<Vec<String>>,
}

impl Answers {
    pub(crate) fn violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer, as far as it matters.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    location: Option<String>,
    pub(crate) body: String,
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// None where there is no whole answer.
    async fn send(&self, request: Request<Full<Bytes>>) -> Option<Answer> {
        const PATIENCE: Duration = Duration::from_secs(15);
        let answer = async {
            let response = self.0.request(request).await.ok()?;
            let (head, body) = response.into_parts();
            let location = head.headers.get(header::LOCATION).map(|location| location.to_str().unwrap().to_owned());
            let body = body.collect().await.ok()?.to_bytes();
            Some(Answer { status: head.status, location, body: String::from_utf8_lossy(&body).into_owned() })
        };
        timeout(PATIENCE, answer).await.ok()?
    }

    pub(crate) async fn get(&self, port: u16, path: &str) -> Option<Answer> {
        self.send(Request::get(format!("http://127.0.0.1:{port}{path}")).body(Full::default()).unwrap()).await
    }

    async fn post(&self, port: u16, order: &Order) -> Option<Answer> {
        let path = if order.is_durable { "jobs" } else { "reports" };
        let uri = format!("http://127.0.0.1:{port}/{path}?milliseconds={}", order.milliseconds);
        let mut request = Request::builder().method(Method::POST).uri(uri);
        if order.is_keyed {
            request = request.header("idempotency-key", format!("\"{}\"", order.payload));
        }
        if order.prefers_async {
            request = request.header("prefer", "respond-async");
        }
        self.send(request.body(Full::from(order.payload.clone())).unwrap()).await
    }
}

/// Asks for work at these replicas until it is time, and returns once everything is answered.
pub(crate) async fn ask(
    http: Http,
    answers: Arc<Answers>,
    fronts: Vec<Front>,
    log: &Path,
    mut dice: Dice,
    until: Instant,
) {
    let client = Asker::new(http, answers, log);
    let mut asking = JoinSet::new();
    let mut number = 0;
    while Instant::now() < until {
        sleep(dice.milliseconds(20, 250)).await;
        number += 1;
        let order = Order::new(number, &mut dice);
        asking.spawn(client.clone().see_through(order, fronts.clone(), dice.split()));
    }
    while asking.join_next().await.is_some() {}
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
    pub(crate) async fn see_through(self, order: Order, fronts: Vec<Front>, mut dice: Dice) {
        let front = dice.one_of(&fronts);
        if !order.is_keyed {
            self.submit(&order, front).await;
        } else {
            let pause = dice.milliseconds(0, 2_000);
            let again = async {
                sleep(pause).await;
                self.submit(&order, dice.one_of(&fronts)).await;
            };
            tokio::join!(self.submit(&order, front), again);
        }
    }

    async fn submit(&self, order: &Order, front: &Front) {
        let at = now();
        let Some(answer) = self.http.post(front.port, order).await else {
            self.answers.unanswered.fetch_add(1, Ordering::Relaxed);
            return;
        };
        match (answer.status, answer.location) {
            (StatusCode::ACCEPTED, Some(location)) => {
                writeln!(&*self.log, "{location} {}", order.payload).unwrap();
                self.answers.acknowledged.lock().unwrap().push(Acknowledged {
                    order: order.clone(),
                    location,
                    front: front.name.clone(),
                    at,
                });
            }
            (StatusCode::OK, None) if answer.body == order.reply() => {
                self.answers.in_line.fetch_add(1, Ordering::Relaxed);
            }
            // The durable ones are turned away where they cannot be stored; what was named by a key tells how it ended.
            (StatusCode::SERVICE_UNAVAILABLE, None) => {
                self.answers.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            (StatusCode::INTERNAL_SERVER_ERROR, None)
                if order.is_keyed && !order.is_durable && is_of_a_death(&answer.body) =>
            {
                self.answers.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            (status, location) => {
                let what = format!("{}: answered {status} {location:?} {}", order.payload, answer.body);
                self.answers.violation(what);
            }
        }
    }
}

/// Whether the problem is that the replica has died, or was told to.
fn is_of_a_death(problem: &str) -> bool {
    ["lost", "interrupted"].iter().any(|word| problem.contains(word))
}
