//! A Redis server as a child process, with data of its own that nobody needs afterwards.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// The server, on a free port. It does not outlive the test.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

impl Server {
    /// Starts it with an append-only file, and with these options besides.
    pub(crate) fn start(options: &[&str]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("respond-async-redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for its data");
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let (port, child) = run_anywhere(&folder, &options);
        Self { child, port, folder, options }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What is left where nobody drops this: its process and its folder.
    #[allow(dead_code, reason = "only a test that shares one leaves anything")]
    pub(crate) fn remains(&self) -> (u32, &Path) {
        (self.child.id(), &self.folder)
    }

    /// Has it answer no more, though it is there.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// Has it go on after a stop.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Starts it again where it was killed.
    pub(crate) fn restart(&mut self) {
        self.child =
            run(self.port, &self.folder, &self.options).unwrap_or_else(|said| panic!("{NOT_STARTED}: {said:?}"));
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

const NOT_STARTED: &str = "redis-server did not start";

/// Starts it on a port that is free: one that was may be taken a moment later.
fn run_anywhere(folder: &Path, options: &[String]) -> (u16, Child) {
    let mut said = Vec::new();
    for _ in 0..5 {
        let port = free_port();
        match run(port, folder, options) {
            Ok(child) => return (port, child),
            Err(lines) => said.extend(lines),
        }
    }
    panic!("{NOT_STARTED}: {said:?}")
}

/// Starts it and waits until it can be asked. If it ends instead, what it has said.
fn run(port: u16, folder: &Path, options: &[String]) -> Result<Child, Vec<String>> {
    let mut child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .arg("--port")
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is there: it is in Debian's package redis-server");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let mut said = Vec::new();
    loop {
        match lines.next() {
            Some(Ok(line)) if line.contains("Ready to accept connections") => break,
            Some(Ok(line)) => said.push(line),
            _ => {
                let _ended = child.wait();
                return Err(said);
            }
        }
    }
    // So that it can go on printing.
    thread::spawn(move || lines.for_each(drop));
    Ok(child)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
        let _removed = fs::remove_dir_all(&self.folder);
    }
}
