//! Requests per second, processor time and memory of whole servers over loopback: under the layer, without it, and with
//! the same pattern written by hand. The server has one core, the generator of the load another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on is to stop")]

mod support;

use std::{iter, net::SocketAddr, process::ExitCode, thread, time::Duration};

use support::{
    client::Client,
    generator::{self, Done, Requests},
    report::{self, Bar, nanoseconds},
    server::{Application, Server},
    statistics::{median, ratio},
};

const BODY: &str = r#"{"scene":"teapot","tiles":10}"#;
const POST_BRIEF: &str = "POST /brief respond-async";
const HEADERS: &str = "Content-Type: application/json\r\nPrefer: respond-async\r\n";

fn main() -> ExitCode {
    support::server::serve_if_asked();
    if !generator::is_installed() {
        return ExitCode::FAILURE;
    }
    let effort = Effort::asked();
    report::title("Loopback: a handler that answers at once, under the layer and without it");
    quick(effort);
    report::title("Loopback: POST answered 202, beside the version by hand");
    accepted(effort);
    report::title("Loopback: the monitor, beside a static axum handler");
    monitor(effort);
    report::title("Loopback: of ten requests, one POST, six GETs while running and three of a reply, beside by hand");
    mixed(effort);
    report::title("Loopback: memory of pending operations, beside the version by hand");
    memory(effort);
    ExitCode::SUCCESS
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
struct Effort {
    rounds: usize,
    period: Duration,
    /// Operations that the monitor is asked for.
    operations: usize,
    pending: usize,
}

impl Effort {
    fn asked() -> Self {
        let second = Duration::from_secs(1);
        match support::is_quick() {
            true => Self { rounds: 1, period: second, operations: 10, pending: 1_000 },
            false => Self { rounds: 9, period: 2 * second, operations: 1_000, pending: 100_000 },
        }
    }
}

/// One of the two that are compared: which requests go where.
#[derive(Clone, Copy, Debug)]
struct Side<'a> {
    server: &'a Server,
    address: SocketAddr,
    requests: &'a Requests,
}

impl<'a> Side<'a> {
    fn new(server: &'a Server, requests: &'a Requests) -> Self {
        Self { server, address: server.address, requests }
    }

    fn send(&self, period: Duration) -> Done {
        self.requests.send(self.server, self.address, period)
    }
}

/// What both did, round by round.
struct Compared {
    ours: Vec<Done>,
    theirs: Vec<Done>,
}

impl Compared {
    fn of(effort: Effort, ours: Side<'_>, theirs: Side<'_>) -> Self {
        // Servers are slower, and have nothing to forget yet, when they are new.
        ours.send(Duration::from_secs(1));
        theirs.send(Duration::from_secs(1));
        let mut compared = Self { ours: Vec::new(), theirs: Vec::new() };
        for round in 0..effort.rounds {
            if round % 2 == 0 {
                compared.ours.push(ours.send(effort.period));
                compared.theirs.push(theirs.send(effort.period));
            } else {
                compared.theirs.push(theirs.send(effort.period));
                compared.ours.push(ours.send(effort.period));
            }
        }
        compared
    }

    fn rate(&self, figure: &str, bar: Option<f64>) {
        self.figure(&format!("{figure}: requests per second"), |done| done.per_second, whole, bar.map(Bar::AtLeast));
    }

    fn processor_time(&self, figure: &str, bar: Option<f64>) {
        let figure = format!("{figure}: processor time of one");
        self.figure(&figure, |done| done.processor_time, nanoseconds, bar.map(Bar::AtMost));
    }

    fn figure(&self, figure: &str, of: impl Fn(&Done) -> f64, show: impl Fn(f64) -> String, bar: Option<Bar>) {
        let [ours, theirs] = [&self.ours, &self.theirs].map(|done| done.iter().map(&of).collect::<Vec<_>>());
        let ratio = ratio(&ours, &theirs);
        let (ours, theirs) = (show(median(ours)), show(median(theirs)));
        match bar {
            Some(bar) => report::judged(figure, &ours, &theirs, ratio, bar),
            None => report::told(figure, &ours, &theirs, Some(ratio)),
        }
    }
}

fn quick(effort: Effort) {
    let (ours, plain) = (Server::start(Application::Ours), Server::start(Application::Plain));
    let requests = Requests::new(iter::once("POST /quick".to_owned()));
    let compared = Compared::of(effort, Side::new(&ours, &requests), Side::new(&plain, &requests));
    compared.rate("in line", Some(0.98));
    compared.processor_time("in line", None);
}

fn accepted(effort: Effort) {
    let (ours, by_hand) = (Server::start(Application::Ours), Server::start(Application::ByHand));
    let requests = Requests::new(iter::once(POST_BRIEF.to_owned()));
    let compared = Compared::of(effort, Side::new(&ours, &requests), Side::new(&by_hand, &requests));
    // Had a limit been reached, requests would be in line by now.
    begin(&ours, "/brief", 1);
    compared.processor_time("POST", Some(1.0));
    compared.rate("POST", None);
}

fn monitor(effort: Effort) {
    let [ours, by_hand] = [Application::Ours, Application::ByHand].map(Server::start);
    let plain = Server::start(Application::Plain);
    let figures =
        [("GET while running", "/endless", "", "/document"), ("GET of the reply", "/kept", "/result", "/reply")];
    for (figure, path, resource, alternative) in figures {
        let of = |server| Requests::new(gets(&begin(server, path, effort.operations), resource));
        let (of_ours, of_by_hand) = (of(&ours), of(&by_hand));
        let [of_plain, of_plain_nested] =
            ["", "/nested"].map(|prefix| Requests::new(iter::once(format!("GET {prefix}{alternative}"))));
        // Until those that end have ended.
        thread::sleep(Duration::from_millis(200));
        let nested = Side::new(&ours, &of_ours);
        let bare = Side { address: ours.of_monitor, ..nested };
        let (plain, plain_nested) = (Side::new(&plain, &of_plain), Side::new(&plain, &of_plain_nested));
        for (how, ours, bar) in [("nested", nested, 0.95), ("bare", bare, 1.0)] {
            let compared = Compared::of(effort, ours, plain);
            compared.rate(&format!("{figure}, {how}"), Some(bar));
            compared.processor_time(&format!("{figure}, {how}"), None);
        }
        // What it costs to be nested, and what of that is not the monitor's doing.
        let compared = Compared::of(effort, plain_nested, plain);
        compared.rate(&format!("{figure}: a static service, nested"), None);
        let compared = Compared::of(effort, nested, plain_nested);
        compared.rate(&format!("{figure}, nested, beside that"), None);
        compared.processor_time(&format!("{figure}, nested, beside that"), None);
        Compared::of(effort, nested, Side::new(&by_hand, &of_by_hand)).rate(&format!("{figure}, by hand"), None);
    }
}

fn mixed(effort: Effort) {
    let servers = [Application::Ours, Application::ByHand].map(Server::start);
    let [of_ours, of_by_hand] = servers.each_ref().map(|server| {
        let running = gets(&begin(server, "/endless", effort.operations), "");
        let ended = gets(&begin(server, "/kept", effort.operations), "/result");
        let tens = running.chunks(6).zip(ended.chunks(3));
        let post = || iter::once(POST_BRIEF.to_owned());
        let requests = tens.flat_map(|(running, ended)| post().chain(running.to_vec()).chain(ended.to_vec()));
        Requests::new(requests.collect::<Vec<_>>())
    });
    thread::sleep(Duration::from_millis(200));
    let [ours, by_hand] = &servers;
    let compared = Compared::of(effort, Side::new(ours, &of_ours), Side::new(by_hand, &of_by_hand));
    compared.rate("mixed", None);
    compared.processor_time("mixed", None);
}

fn memory(effort: Effort) {
    let [ours, by_hand] = [Application::Ours, Application::ByHand].map(|application| {
        let server = Server::start(application);
        begin(&server, "/endless", 10);
        let before = server.resident();
        begin(&server, "/endless", effort.pending);
        (server.resident() - before) as f64
    });
    let each = |bytes| format!("{} bytes", whole(bytes / effort.pending as f64));
    report::judged("one of the pending operations", &each(ours), &each(by_hand), ours / by_hand, Bar::AtMost(1.0));
}

/// Begins operations, and returns where they are.
fn begin(server: &Server, path: &str, count: usize) -> Vec<String> {
    let mut client = Client::connect(server.address);
    let mut begin = || {
        client.send("POST", path, HEADERS, BODY);
        let answer = client.receive();
        assert_eq!(answer.status, 202, "POST {path}");
        answer.header("location").unwrap().to_owned()
    };
    (0..count).map(|_| begin()).collect()
}

/// A GET of each operation, or of a resource below it.
fn gets(locations: &[String], resource: &str) -> Vec<String> {
    locations.iter().map(|location| format!("GET {location}{resource}")).collect()
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}
