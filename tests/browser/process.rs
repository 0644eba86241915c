//! The two programs a browser test needs, each on a free port and ended with the test.

use std::{
    env, fs,
    io::Write,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use crate::program::{Program, build_example};

/// How long `ChromeDriver` may take to close its browsers.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// The `renders` example.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(renders());
        let mut program = Program::start(command.env("HOST", "127.0.0.1").env("PORT", "0"));
        let url = program.line_after("listening on ");
        Self { program, url }
    }
}

fn renders() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build_example("renders"))
}

/// `ChromeDriver`, which starts the browsers.
pub(crate) struct Driver {
    program: Program,
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
        let mut program = Program::start(command.arg("--port=0").env("TMPDIR", &files));
        let port = program.line_after("started successfully on port ");
        let port = port.trim_end_matches('.').parse().expect("a port");
        Self { program, port, files }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn ends_within(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if !matches!(self.program.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Driver {
    /// A killed `ChromeDriver` would leave its browsers behind, so it is asked to end, which closes them.
    fn drop(&mut self) {
        if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = connection.write_all(b"GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
            self.ends_within(CLOSING_TIME);
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
