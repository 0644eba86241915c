//! From a handler's return to the client knowing it, by event stream and by long poll, beside a task that writes to a
//! bare socket. The server's runtime has one core, the client's thread another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on is to stop")]

mod support;

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, routing::post, serve::ListenerExt};
use support::{
    client::Client,
    report::{self, Bar, nanoseconds},
    server::{CLIENT_CORE, SERVER_CORE},
    statistics::percentile,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::Notify,
};
use tower_respond_async::{Operations, Policy};

/// Long enough for the client to have gone to sleep on its socket, and the server, too.
const WORK: Duration = Duration::from_millis(3);
const PREFERENCE: &str = "Prefer: respond-async\r\n";
/// About as long as what the monitor sends when an operation ends.
const MESSAGE: [u8; 400] = [b'.'; 400];

fn main() {
    let (warm_up, rounds) = if support::is_quick() { (5, 50) } else { (200, 4_000) };
    let runtime = runtime();
    let work = Work::default();
    let ours = runtime.block_on(serve(work.clone()));
    let bare = runtime.block_on(serve_bare(work.clone()));
    // A thread of its own, as the main one is what the runtime's cores are inherited from.
    let measured = thread::spawn(move || {
        bind_thread(CLIENT_CORE);
        let mut measured = Measured::new(ours, bare, work);
        (0..warm_up).for_each(|_| measured.round());
        measured.forget();
        (0..rounds).for_each(|_| measured.round());
        measured
    });
    let Measured { mut by_events, mut by_long_poll, mut by_bare_socket, .. } = measured.join().unwrap();
    report::title("Completion: from the handler's return to its client, beside a bare socket");
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let bare = percentile(&mut by_bare_socket, share);
        for (how, times) in [("event stream", &mut by_events), ("long poll", &mut by_long_poll)] {
            let ours = percentile(times, share);
            let figure = format!("{how}, {name}");
            report::judged(&figure, &nanoseconds(ours), &nanoseconds(bare), ours / bare, Bar::AtMost(1.2));
        }
    }
}

/// A runtime of one worker, bound to the server's core.
fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().on_thread_start(|| bind_thread(SERVER_CORE)).build().unwrap()
}

/// Binds the current thread to a core.
fn bind_thread(core: &str) {
    let thread = fs::read_link("/proc/thread-self").unwrap();
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", core]).arg(thread.file_name().unwrap());
    let bound = taskset.output().expect("taskset starts; Debian has it in the package util-linux");
    assert!(bound.status.success(), "{}", String::from_utf8_lossy(&bound.stderr));
}

/// What is waited for: the same pause and the same wake-up on both sides, and when it was over.
#[derive(Clone, Default)]
struct Work {
    begun: Arc<Notify>,
    over: Arc<Notify>,
    returned: Arc<Mutex<Option<Instant>>>,
}

impl Work {
    /// Ends each piece of work a while after it has begun.
    async fn keep_ending(self) {
        loop {
            self.begun.notified().await;
            tokio::time::sleep(WORK).await;
            self.over.notify_one();
        }
    }

    /// Has it begin, now that the client will be waiting.
    fn begin(&self) {
        self.begun.notify_one();
    }

    async fn run(&self) {
        self.over.notified().await;
        *self.returned.lock().unwrap() = Some(Instant::now());
    }

    /// The nanoseconds since the work was over.
    fn elapsed(&self) -> f64 {
        let now = Instant::now();
        let returned = self.returned.lock().unwrap().take().expect("the work is over");
        now.duration_since(returned).as_secs_f64() * 1e9
    }
}

async fn serve(work: Work) -> SocketAddr {
    tokio::spawn(work.clone().keep_ending());
    let operations = Operations::builder().build().unwrap();
    let policy = Policy::new().grace(Duration::ZERO).retention(Duration::from_secs(1));
    let render = async move || {
        work.run().await;
        "a picture"
    };
    let app = Router::new()
        .route("/renders", post(render))
        .layer(operations.layer(policy))
        .nest_service("/operations", operations.monitor());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Else the last event would wait until the one before is acknowledged.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn serve_bare(work: Work) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, &work).await;
    });
    address
}

/// Does the work for each request line, and answers.
async fn answer(mut stream: TcpStream, work: &Work) {
    stream.set_nodelay(true).unwrap();
    // The client hangs up when it is done.
    while let Ok(1..) = stream.read(&mut [0; 1024]).await {
        work.run().await;
        stream.write_all(&MESSAGE).await.unwrap();
    }
}

struct Measured {
    submitter: Client,
    reader: Client,
    bare: Client,
    work: Work,
    by_events: Vec<f64>,
    by_long_poll: Vec<f64>,
    by_bare_socket: Vec<f64>,
}

impl Measured {
    fn new(ours: SocketAddr, bare: SocketAddr, work: Work) -> Self {
        Self {
            submitter: Client::connect(ours),
            reader: Client::connect(ours),
            bare: Client::connect(bare),
            work,
            by_events: Vec::new(),
            by_long_poll: Vec::new(),
            by_bare_socket: Vec::new(),
        }
    }

    fn round(&mut self) {
        self.read_events();
        self.poll_long();
        self.read_bare_socket();
    }

    fn forget(&mut self) {
        self.by_events.clear();
        self.by_long_poll.clear();
        self.by_bare_socket.clear();
    }

    fn read_events(&mut self) {
        let location = self.submit();
        self.reader.send("GET", &location, "Accept: text/event-stream\r\n", "");
        assert_eq!(self.reader.receive_head().status, 200);
        self.reader.receive_until(b"\n\n\r\n");
        self.work.begin();
        self.reader.wake();
        self.by_events.push(self.work.elapsed());
        let event = self.reader.receive_until(b"\r\n0\r\n\r\n");
        let event = String::from_utf8(event).unwrap();
        assert!(event.contains("event: succeeded"), "{event}");
    }

    fn poll_long(&mut self) {
        let location = self.submit();
        self.reader.send("GET", &location, "Prefer: wait=30\r\n", "");
        self.work.begin();
        self.reader.wake();
        self.by_long_poll.push(self.work.elapsed());
        assert_eq!(self.reader.receive().status, 303);
    }

    fn read_bare_socket(&mut self) {
        self.bare.send("GET", "/", "", "");
        self.work.begin();
        self.bare.wake();
        self.by_bare_socket.push(self.work.elapsed());
        self.bare.receive_exactly(MESSAGE.len());
    }

    fn submit(&mut self) -> String {
        self.submitter.send("POST", "/renders", PREFERENCE, "");
        let answer = self.submitter.receive();
        assert_eq!(answer.status, 202);
        answer.header("location").unwrap().to_owned()
    }
}
