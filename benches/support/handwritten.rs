//! The same pattern by hand: what one would write for an application of one's own in an afternoon.
//!
//! It does much less: no budget, no limits, no owners, no cancellation, and a job whose handler panics runs for ever.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use dashmap::DashMap;
use serde::Serialize;
use uuid::Uuid;

const SWEEP: Duration = Duration::from_secs(1);
const MAX_REPLY: usize = 8 * 1024 * 1024;

/// The jobs of an application.
#[derive(Clone, Default)]
pub(crate) struct Jobs(Arc<DashMap<Uuid, Job>>);

struct Job {
    created: SystemTime,
    stage: Stage,
}

enum Stage {
    Running,
    Finished { expires: Instant, reply: Reply },
}

#[derive(Clone)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Serialize)]
struct Status {
    id: String,
    status: &'static str,
    created: String,
}

impl Jobs {
    /// Begins to forget the jobs that have expired.
    pub(crate) fn keep_sweeping(&self) {
        let jobs = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP);
            loop {
                ticks.tick().await;
                let now = Instant::now();
                jobs.retain(|_, job| !matches!(job.stage, Stage::Finished { expires, .. } if expires <= now));
            }
        });
    }

    /// Where the jobs are to be found.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/operations/{id}", get(status))
            .route("/operations/{id}/result", get(result))
            .with_state(self.clone())
    }

    /// Answers 202 and does the work meanwhile.
    pub(crate) fn submit<F, R>(&self, retention: Duration, work: F) -> Response
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        let id = Uuid::new_v4();
        let created = SystemTime::now();
        self.0.insert(id, Job { created, stage: Stage::Running });
        let jobs = Arc::clone(&self.0);
        tokio::spawn(async move {
            let reply = Reply::of(work.await.into_response()).await;
            if let Some(mut job) = jobs.get_mut(&id) {
                job.stage = Stage::Finished { expires: Instant::now() + retention, reply };
            }
        });
        let location = format!("/operations/{id}");
        let headers = [(header::LOCATION, location.as_str()), (header::RETRY_AFTER, "1")];
        (StatusCode::ACCEPTED, headers, Json(Status::running(id, created))).into_response()
    }
}

impl Reply {
    async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        match axum::body::to_bytes(body, MAX_REPLY).await {
            Ok(body) => Self { status: head.status, headers: head.headers, body },
            Err(_) => Self { status: StatusCode::INTERNAL_SERVER_ERROR, headers: HeaderMap::new(), body: Bytes::new() },
        }
    }
}

impl Status {
    fn running(id: Uuid, created: SystemTime) -> Self {
        let created = humantime::format_rfc3339_millis(created).to_string();
        Self { id: id.to_string(), status: "running", created }
    }
}

async fn status(State(jobs): State<Jobs>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse() else { return StatusCode::NOT_FOUND.into_response() };
    let Some(job) = jobs.0.get(&id) else { return StatusCode::NOT_FOUND.into_response() };
    match job.stage {
        Stage::Running => {
            (StatusCode::ACCEPTED, [(header::RETRY_AFTER, "1")], Json(Status::running(id, job.created))).into_response()
        }
        Stage::Finished { .. } => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/operations/{id}/result"))]).into_response()
        }
    }
}

async fn result(State(jobs): State<Jobs>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse() else { return StatusCode::NOT_FOUND.into_response() };
    let job = jobs.0.get(&id);
    let Some(Stage::Finished { reply, .. }) = job.as_deref().map(|job| &job.stage) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let reply = reply.clone();
    (reply.status, reply.headers, Body::from(reply.body)).into_response()
}
