//! The load: `wrk`, bound to the core that the server has not.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::server::{CLIENT_CORE, Server};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/requests.lua");
const CONNECTIONS: &str = "--connections=32";

/// Whether the generator is there; if not, says where it is to be had.
pub(crate) fn is_installed() -> bool {
    let installed = Command::new("wrk").arg("--version").output().is_ok();
    if !installed {
        eprintln!("wrk, which makes the load, is not installed: Debian has it in the package wrk");
    }
    installed
}

/// Requests to be sent over and over.
#[derive(Debug)]
pub(crate) struct Requests {
    file: PathBuf,
}

/// What a server did under load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) per_second: f64,
    /// The server's processor time for each request, in nanoseconds.
    pub(crate) processor_time: f64,
}

impl Requests {
    /// Each request is its method, its path and, where the client has one, its preference.
    pub(crate) fn new(requests: impl IntoIterator<Item = String>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("requests-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, requests.into_iter().collect::<Vec<_>>().join("\n")).unwrap();
        Self { file }
    }

    /// Sends them to one of the server's addresses for as long as said.
    pub(crate) fn send(&self, server: &Server, address: SocketAddr, period: Duration) -> Done {
        let before = server.processor_time();
        let output = Command::new("taskset")
            .args(["--cpu-list", CLIENT_CORE, "wrk", "--threads=1", CONNECTIONS, "--timeout=10s"])
            .arg(format!("--duration={}s", period.as_secs()))
            .args(["--script", SCRIPT, &format!("http://{address}"), "--"])
            .arg(&self.file)
            .output()
            .unwrap();
        let processor_time = server.processor_time() - before;
        let told = String::from_utf8(output.stdout).unwrap();
        let number = |name: &str| -> f64 {
            let value = told.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("wrk told no {name}: {told}")).parse().unwrap()
        };
        assert_eq!(number("failed"), 0.0, "{told}");
        let requests = number("requests");
        Done { per_second: requests / number("microseconds") * 1e6, processor_time: processor_time / requests * 1e9 }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        // What is left behind does no harm.
        let _ignored = fs::remove_file(&self.file);
    }
}
