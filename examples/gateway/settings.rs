//! What the file says: the gateway's own keys here, all others for the library.

use std::{net::SocketAddr, time::Duration};

use hyper::{Uri, http::uri::Authority};
use serde::Deserialize;
use toml::{Table, Value};
use tower_respond_async::Config;

const DEFAULT_BASE_PATH: &str = "/operations";

/// The whole configuration.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: Authority,
    pub(crate) connect_timeout: Duration,
    /// How long the backend may take until its reply begins.
    pub(crate) upstream_timeout: Option<Duration>,
    pub(crate) drain_timeout: Duration,
    /// As the library reads it, without a slash at its end.
    pub(crate) base_path: String,
    pub(crate) trust_forwarded: bool,
    pub(crate) operations: Config,
}

impl Settings {
    /// # Errors
    ///
    /// Everything that is wrong in the file, a line for each.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let file = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut own = OwnKeys { file, wrong: Vec::new() };
        let listen = own.required("listen", "an address such as \"127.0.0.1:8000\"", |text| text.parse().ok());
        let upstream = own.required("upstream", "a URL such as \"http://127.0.0.1:8080\", without a path", origin);
        let connect_timeout = own.duration("connect_timeout").unwrap_or(Duration::from_secs(5));
        let upstream_timeout = own.duration("upstream_timeout");
        let drain_timeout = own.duration("drain_timeout").unwrap_or(Duration::from_secs(10));
        let OwnKeys { file, mut wrong } = own;

        let base_path = file.get("base_path").and_then(Value::as_str).unwrap_or(DEFAULT_BASE_PATH);
        if base_path == "/" {
            wrong.push("base_path: expected a path of its own, as \"/\" leaves nothing to the backend".to_owned());
        }
        let base_path = base_path.trim_end_matches('/').to_owned();
        let trust_forwarded = file.get("trust_forwarded").and_then(Value::as_bool).unwrap_or_default();
        let operations = Config::deserialize(file).unwrap_or_else(|report| {
            wrong.push(report.to_string());
            Config::default()
        });
        match (listen, upstream) {
            (Some(listen), Some(upstream)) if wrong.is_empty() => Ok(Self {
                listen,
                upstream,
                connect_timeout,
                upstream_timeout,
                drain_timeout,
                base_path,
                trust_forwarded,
                operations,
            }),
            _ => Err(wrong.join("\n")),
        }
    }
}

/// Takes the gateway's own keys out of the file, and notes what is wrong with them. All are texts.
struct OwnKeys {
    file: Table,
    wrong: Vec<String>,
}

impl OwnKeys {
    fn required<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        if !self.file.contains_key(key) {
            self.wrong.push(format!("{key}: missing; expected {expected}"));
        }
        self.optional(key, expected, read)
    }

    fn duration(&mut self, key: &str) -> Option<Duration> {
        self.optional(key, "a duration longer than zero, such as \"5s\"", |text| {
            humantime::parse_duration(text).ok().filter(|duration| !duration.is_zero())
        })
    }

    fn optional<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let found = self.file.remove(key)?;
        let read = found.as_str().and_then(read);
        if read.is_none() {
            self.wrong.push(format!("{key}: expected {expected}, found {found}"));
        }
        read
    }
}

/// The host and port of a plain `http` URL.
fn origin(text: &str) -> Option<Authority> {
    let url: Uri = text.parse().ok()?;
    let plain = url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none() && !text.contains('#');
    url.into_parts().authority.filter(|authority| plain && !authority.as_str().contains('@'))
}
