//! The gateway as a child process.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

/// The gateway, on a free port. It does not outlive the test.
pub(crate) struct Gateway {
    child: Child,
    /// Kept open, so that it can go on printing.
    _output: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Gateway {
    /// Starts it before this backend, with whatever else there is to configure.
    pub(crate) fn start(upstream: &str, configuration: &str) -> Self {
        Self::start_with(&format!("listen = '127.0.0.1:0'\nupstream = 'http://{upstream}'\n{configuration}"))
    }

    pub(crate) fn start_with(file: &str) -> Self {
        let folder = Folder::with(file);
        let mut child = Command::new(program())
            .arg(folder.file())
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line of text");
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        Self { child, _output: output, address: address.to_owned() }
    }

    /// Sends it `SIGTERM`.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                match self.child.try_wait().expect("it can be asked") {
                    Some(status) => return status.code(),
                    None => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(Duration::from_secs(20), ended).await.expect("it ends in time")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the gateway to its end, with a file or without. Gives its exit code and what it prints as errors.
pub(crate) fn run(file: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(program());
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

/// Builds the example as the test itself was built, which costs nothing when it is up to date.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = env::current_exe().expect("the test has a path");
        let profile = test.ancestors().nth(2).expect("target/{profile}/deps/test");
        let target = profile.parent().expect("target/{profile}");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--all-features", "--example", "gateway", "--target-dir"])
            .arg(target);
        if profile.file_name() == Some(OsStr::new("release")) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the gateway example does not build");
        profile.join("examples/gateway").with_extension(env::consts::EXE_EXTENSION)
    })
}
