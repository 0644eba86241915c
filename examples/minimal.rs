//! The quick start: one slow endpoint, and the layer that keeps it from timing out.

use std::time::Duration;

use axum::{Router, routing::post};
use tower_respond_async::{Operations, Policy};

async fn report() -> &'static str {
    tokio::time::sleep(Duration::from_secs(5)).await;
    "the report\n"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let operations = Operations::builder().base_path("/operations").build()?;
    let app = Router::new()
        .route("/reports", post(report))
        .layer(operations.layer(Policy::new().budget(Duration::from_millis(300))))
        .nest_service("/operations", operations.monitor());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
