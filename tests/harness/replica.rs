//! A replica: the example `replicas` as a process.

use std::{
    fs::OpenOptions,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::sleep;

use crate::client::Http;

/// The replicas there are, by what they do, which is also what they are called.
pub(crate) const ROLES: [&str; 3] = ["api", "both", "worker"];

/// After how long without word from it a replica counts as dead.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// How long operations are kept: longer than a long run takes.
const RETENTION: &str = "6h";

/// The replica's process, and how to start another in its place. It does not outlive the test.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) port: u16,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    process: Option<Child>,
}

/// How a replica has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At a named point.
    Aborted,
    /// It had no store to start with.
    GaveUp,
}

impl Replica {
    pub(crate) fn new(program: &Path, name: &str, role: &str, store: &str, folder: &Path) -> Self {
        let port = crate::redis::free_port();
        let journal = folder.join("journal").display().to_string();
        let listen = format!("127.0.0.1:{port}");
        let lease = format!("{}ms", LEASE.as_millis());
        let arguments = ["--role", role, "--name", name, "--store", store, "--journal", &journal, "--listen", &listen]
            .iter()
            .chain(&["--lease", &lease, "--retention", RETENTION])
            .map(|argument| (*argument).to_owned())
            .collect();
        let log = folder.join(format!("{name}.log"));
        Self { name: name.to_owned(), port, program: program.to_owned(), arguments, log, process: None }
    }

    /// Starts it, maybe so that it ends by itself at a named point.
    pub(crate) fn start(&mut self, abort: Option<&str>) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if let Some(point) = abort {
            command.env("REPLICAS_ABORT", point);
        }
        self.process = Some(command.spawn().unwrap());
    }

    pub(crate) async fn until_it_answers(&mut self, http: &Http) {
        while http.get(self.port, "/health").await.is_none() {
            assert_eq!(self.ended(), None, "it does not start, see {}", self.log.display());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<End> {
        const SIGABRT: i32 = 6;
        let status = self.process.as_mut()?.try_wait().unwrap()?;
        self.process = None;
        Some(if status.signal() == Some(SIGABRT) { End::Aborted } else { End::GaveUp })
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ended_before = process.kill();
            let _status = process.wait();
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        if let Some(process) = &self.process {
            let _ended_before = Command::new("kill").args([signal, &process.id().to_string()]).status();
        }
    }

    /// Has it end in its own time.
    pub(crate) fn end(&mut self) {
        self.signal("-TERM");
        if let Some(mut process) = self.process.take() {
            process.wait().unwrap();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}
