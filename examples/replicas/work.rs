//! The work: a fingerprint of a request's body that takes as long to make as the request says.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::HeaderName,
    routing::post,
};
use hmac_sha256::Hash;
use serde::Deserialize;
use tokio::time::sleep;

/// The work is done in rounds, and this is how long one takes.
const ROUND: Duration = Duration::from_millis(10);

/// Says which replica has done the work.
const DONE_BY: HeaderName = HeaderName::from_static("x-done-by");

/// Where work is done.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    name: Arc<str>,
    journal: Option<Arc<File>>,
}

#[derive(Debug, Deserialize)]
struct Order {
    #[serde(default)]
    milliseconds: u64,
}

impl Workshop {
    /// With a file to which a line is added whenever work begins, and whenever it ends.
    pub(crate) fn open(name: String, journal: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let journal = journal.map(open).transpose()?.map(Arc::new);
        Ok(Self { name: name.into(), journal })
    }

    pub(crate) fn router(self) -> Router {
        Router::new().route("/jobs", post(work)).route("/reports", post(work)).with_state(self)
    }

    /// Notes that work begins, and that it ends, with its reply or without, when this is dropped.
    fn begin(&self, body: &Bytes) -> Begun<'_> {
        self.note("begins", body);
        Begun { workshop: self, body: body.clone() }
    }

    /// When, by whom, and on what. In one write, so that lines of several replicas do not get mixed up.
    fn note(&self, what: &str, body: &[u8]) {
        if let Some(mut journal) = self.journal.as_deref() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let line = format!("{now} {} {what} {}\n", self.name, String::from_utf8_lossy(body));
            if let Err(error) = journal.write_all(line.as_bytes()) {
                tracing::error!(%error, "the journal cannot be written to");
            }
        }
    }
}

/// Work that has begun.
struct Begun<'a> {
    workshop: &'a Workshop,
    body: Bytes,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.workshop.note("ends", &self.body);
    }
}

async fn work(
    State(workshop): State<Workshop>,
    Query(order): Query<Order>,
    body: Bytes,
) -> ([(HeaderName, String); 1], String) {
    let begun = workshop.begin(&body);
    let rounds = u128::from(order.milliseconds).div_ceil(ROUND.as_millis());
    let mut fingerprint = Hash::hash(&body);
    for _ in 0..rounds {
        sleep(ROUND).await;
        fingerprint = Hash::hash(&fingerprint);
    }
    drop(begun);
    let hexadecimal: String = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    ([(DONE_BY, workshop.name.to_string())], format!("{hexadecimal}\n"))
}
