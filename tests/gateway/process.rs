//! The gateway as a child process.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

use crate::program::{Program, build_example};

/// The gateway, on a free port. It does not outlive the test.
pub(crate) struct Gateway {
    program: Program,
    pub(crate) address: String,
}

impl Gateway {
    /// Starts it before this backend, with whatever else there is to configure.
    pub(crate) fn start(upstream: &str, configuration: &str) -> Self {
        Self::start_with(&format!("listen = '127.0.0.1:0'\nupstream = 'http://{upstream}'\n{configuration}"))
    }

    pub(crate) fn start_with(file: &str) -> Self {
        let folder = Folder::with(file);
        let mut program = Program::start(Command::new(path()).arg(folder.file()).env("RUST_LOG", "error"));
        let address = program.line_after("listening on http://");
        Self { program, address }
    }

    /// Sends it `SIGTERM`.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.program.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                match self.program.child.try_wait().expect("it can be asked") {
                    Some(status) => return status.code(),
                    None => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(Duration::from_secs(20), ended).await.expect("it ends in time")
    }
}

/// Runs the gateway to its end, with a file or without. Gives its exit code and what it prints as errors.
pub(crate) fn run(file: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(path());
    let folder = file.map(Folder::with);
    if let Some(folder) = &folder {
        command.arg("file.toml").current_dir(&folder.0);
    }
    let output = command.output().expect("the gateway starts");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

/// A folder with the file `file.toml`.
struct Folder(PathBuf);

impl Folder {
    fn with(file: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Self(env::temp_dir().join(format!("gateway-test-{}-{number}", std::process::id())));
        fs::create_dir_all(&folder.0).expect("room for temporary files");
        fs::write(folder.file(), file).expect("room for temporary files");
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("file.toml")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build_example("gateway"))
}
