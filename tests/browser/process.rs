//! The two programs a browser test needs, each on a free port and ended with the test.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// How long `ChromeDriver` may take to close its browsers.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// A program that was started by a test, and does not outlive it.
pub(crate) struct Process {
    child: Child,
    /// Kept open, so that the program can go on printing.
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self { child, output }
    }

    /// Reads what the program prints, up to the line that has `before` in it; gives what follows there.
    fn line_after(&mut self, before: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("lines of text") > 0 {
            if let Some((_, after)) = line.split_once(before) {
                return after.trim().to_owned();
            }
            line.clear();
        }
        panic!("the program ended before it printed {before:?}");
    }

    pub(crate) fn kill(&mut self) {
        // It fails only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn ends_within(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The `renders` example.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(renders());
        let mut process = Process::start(command.env("HOST", "127.0.0.1").env("PORT", "0"));
        let url = process.line_after("listening on ");
        Self { process, url }
    }
}

/// Builds the example as the test itself was built, which costs nothing when it is up to date.
fn renders() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = env::current_exe().expect("the test has a path");
        let profile = test.ancestors().nth(2).expect("target/{profile}/deps/test");
        let target = profile.parent().expect("target/{profile}");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--example", "renders", "--target-dir"])
            .arg(target);
        if profile.file_name() == Some(OsStr::new("release")) {
            build.arg("--release");
        }
        let built = build.status().expect("cargo runs");
        assert!(built.success(), "the renders example does not build");
        profile.join("examples/renders").with_extension(env::consts::EXE_EXTENSION)
    })
}

/// `ChromeDriver`, which starts the browsers.
pub(crate) struct Driver {
    process: Process,
    port: u16,
    /// Browsers leave sockets among the temporary files.
    files: PathBuf,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let program = find(&["chromedriver"], "chromium-driver");
        let files = env::temp_dir().join(format!("renders-browser-{}", std::process::id()));
        fs::create_dir_all(&files).expect("room for temporary files");
        let mut command = Command::new(program);
        let mut process = Process::start(command.arg("--port=0").env("TMPDIR", &files));
        let port = process.line_after("started successfully on port ");
        let port = port.trim_end_matches('.').parse().expect("a port");
        Self { process, port, files }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Driver {
    /// A killed `ChromeDriver` would leave its browsers behind, so it is asked to end, which closes them.
    fn drop(&mut self) {
        if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = connection.write_all(b"GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
            self.process.ends_within(CLOSING_TIME);
        }
        let _ = fs::remove_dir_all(&self.files);
    }
}

pub(crate) fn chromium() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    find(&names, "chromium")
}

/// The first of these programs in `PATH`. A test that needs one is never skipped for want of it.
fn find(names: &[&str], debian_package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .map(|program| program.with_extension(env::consts::EXE_EXTENSION))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("no {} in PATH: install it (Debian: apt-get install {debian_package})", names[0]))
}
