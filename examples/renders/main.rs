//! Draws fractals, which may take milliseconds or minutes: `POST /renders` answers with the picture, at once if it can,
//! else with `202 Accepted` and a place where the picture will be.
//!
//! ```console
//! $ cargo run --release --example renders
//! listening on http://127.0.0.1:3000
//! $ curl --json '{"size": 256}' http://127.0.0.1:3000/renders --output small.png
//! $ curl --json '{"size": 4096}' --include http://127.0.0.1:3000/renders
//! ```
//!
//! Open the address in a browser to see the exchange as it happens. `HOST` and `PORT` say where to listen; port 0 takes
//! a free one.

mod fractal;
mod palette;
mod problem;
mod render;
#[path = "../support/shutdown.rs"]
mod shutdown;
#[path = "../support/stop_signal.rs"]
mod stop_signal;
mod view;

use std::{env, error::Error, time::Duration};

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_respond_async::{Operations, Policy};
use tracing_subscriber::EnvFilter;

use crate::shutdown::shut_down;

/// How long a picture may take before its client is told to come back.
const BUDGET: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).init();

    let operations = Operations::builder().base_path("/operations").build()?;
    let app = Router::new()
        .route("/", get(page))
        .route("/renders", post(render::render))
        .layer(operations.layer(Policy::new().budget(BUDGET).handle(true)))
        .nest_service("/operations", operations.monitor());

    let listener = TcpListener::bind(address()?).await?;
    let closing = CancellationToken::new();
    let shut_down = shut_down(operations, closing.clone());
    println!("listening on http://{}", listener.local_addr()?);
    tokio::select! {
        served = axum::serve(listener, app).with_graceful_shutdown(closing.cancelled_owned()) => served?,
        () = shut_down => {}
    }
    Ok(())
}

/// The page, which may load nothing from elsewhere.
async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                  img-src blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(include_str!("page.html")))
}

fn address() -> Result<(String, u16), Box<dyn Error>> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = match env::var("PORT") {
        Ok(port) => port.parse().map_err(|_| format!("PORT must be a number from 0 to 65535, not {port:?}"))?,
        Err(_) => 3000,
    };
    Ok((host, port))
}
