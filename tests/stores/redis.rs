//! The store in Redis. What is special about it is tested where it is.

#[allow(dead_code)] // It is killed and restarted in the tests of the store itself.
mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tower_respond_async::store::{
    conformance::{self, Replicas, Violations},
    redis::RedisStore,
};

use server::Server;

/// Many stores in one server, each of its own prefix.
struct Stores {
    server: Server,
    count: AtomicU32,
}

impl Stores {
    fn new() -> Self {
        Self { server: Server::start(&[]), count: AtomicU32::new(0) }
    }

    async fn replicas(&self) -> Replicas {
        let prefix = format!("store-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let open = async || Arc::new(RedisStore::builder(self.server.url()).prefix(&prefix).open().await.unwrap());
        Replicas::new(open().await, open().await)
    }
}

#[tokio::test]
async fn keeps_the_contract() -> Result<(), Violations> {
    let stores = Stores::new();
    conformance::run(async || stores.replicas().await).await
}

#[tokio::test]
async fn keeps_the_contract_and_announces() -> Result<(), Violations> {
    let stores = Stores::new();
    conformance::run(async || stores.replicas().await.announcing()).await
}
