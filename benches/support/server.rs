//! Servers in processes of their own, bound to the first core: the benchmark starts itself again with an argument.

use std::{
    convert::Infallible,
    error::Error,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::Service;

use super::applications;

const SERVE: &str = "--serve";

/// The core of the server, and that of its clients.
pub(crate) const SERVER_CORE: &str = "0";
pub(crate) const CLIENT_CORE: &str = "1";

/// Linux counts processor time in hundredths of a second.
const TICK: f64 = 0.01;

/// What a server serves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Application {
    Plain,
    Ours,
    ByHand,
}

impl Application {
    const ALL: [Self; 3] = [Self::Plain, Self::Ours, Self::ByHand];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ours => "ours",
            Self::ByHand => "by-hand",
        }
    }
}

/// Serves, and never returns, where this process was started to be a server.
pub(crate) fn serve_if_asked() {
    let mut arguments = std::env::args().skip_while(|argument| argument != SERVE).skip(1);
    let Some(name) = arguments.next() else { return };
    let application = Application::ALL.into_iter().find(|application| application.name() == name).unwrap();
    // As many workers as there are cores for them.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(serve(application));
}

async fn serve(application: Application) {
    let (app, monitor) = match application {
        Application::Plain => (applications::plain(), None),
        Application::Ours => {
            let (app, monitor) = applications::ours();
            (app, Some(monitor))
        }
        Application::ByHand => (applications::by_hand(), None),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let of_monitor = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {}", listener.local_addr().unwrap(), of_monitor.local_addr().unwrap());
    if let Some(monitor) = monitor {
        tokio::spawn(accept(of_monitor, monitor));
    }
    accept(listener, app).await;
}

/// Serves each connection as `axum::serve` does.
async fn accept<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connections = auto::Builder::new(TokioExecutor::new());
            // Clients hang up when they are done.
            let _hung_up = connections.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

/// A server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    /// Where the monitor is served alone.
    pub(crate) of_monitor: SocketAddr,
}

impl Server {
    pub(crate) fn start(application: Application) -> Self {
        let mut process = Command::new("taskset")
            .args(["--cpu-list", SERVER_CORE])
            .arg(std::env::current_exe().unwrap())
            .args([SERVE, application.name()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset starts; Debian has it in the package util-linux");
        let mut addresses = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut addresses).unwrap();
        let (address, of_monitor) = addresses.trim().split_once(' ').unwrap();
        Self { process, address: address.parse().unwrap(), of_monitor: of_monitor.parse().unwrap() }
    }

    /// The processor time it has taken, in seconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // The name of the command, in parentheses, may hold spaces; the times follow 11 fields after it.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        ticks as f64 * TICK
    }

    /// The memory it has resident, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
