//! The store in PostgreSQL. What is special about it is tested where it is.

#![allow(clippy::unwrap_used, reason = "so that a test says where it failed")]

use std::sync::Arc;

use tower_respond_async::store::{
    conformance::{self, Replicas, Violations},
    postgres::{PostgresBuilder, PostgresStore},
};

#[path = "../support/postgres.rs"]
mod server;

use server::Server;

async fn replicas(server: &Server, builder: PostgresBuilder) -> Replicas {
    let builder = builder.table_prefix(server.prefix());
    builder.migrate().await.unwrap();
    let connect = async || Arc::new(builder.clone().connect().await.unwrap());
    Replicas::new(connect().await, connect().await)
}

fn directly(server: &Server) -> PostgresBuilder {
    PostgresStore::with_pool(&sqlx::PgPool::connect_lazy_with(server.options()))
}

#[tokio::test]
async fn keeps_the_contract_and_announces() -> Result<(), Violations> {
    let server = Server::start();
    conformance::run(async || replicas(&server, directly(&server)).await.announcing()).await
}

#[tokio::test]
async fn keeps_the_contract_by_polling_alone() -> Result<(), Violations> {
    let server = Server::start();
    conformance::run(async || replicas(&server, directly(&server).announcements(false)).await).await
}

#[tokio::test]
async fn keeps_the_contract_behind_pgbouncer() -> Result<(), Violations> {
    let server = Server::start();
    let (_pgbouncer, proxied) = server.pgbouncer();
    let pool = sqlx::PgPool::connect_lazy_with(proxied);
    let builder = || PostgresStore::with_pool(&pool).listen_on(server.options());
    conformance::run(async || replicas(&server, builder()).await.announcing()).await
}
