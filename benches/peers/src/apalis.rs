//! The same trivial work as jobs of apalis, over the same servers.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use apalis_redis::RedisStorage;
use tokio::{
    task::{JoinSet, yield_now},
    time::sleep,
};

use crate::servers::Servers;

/// How often the worker looks for jobs when it has found none; it is told of none.
const LOOK: Duration = Duration::from_millis(10);

/// How many jobs are fetched at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetch(pub(crate) usize);

impl Fetch {
    /// As its documentation shows it.
    pub(crate) const PLAIN: Self = Self(10);
    /// As one would set it for a burst.
    pub(crate) const MANY: Self = Self(256);
}

pub(crate) async fn postgres(servers: &Servers, operations: usize, clients: usize, fetch: Fetch) -> f64 {
    let pool = apalis_postgres::PgPool::connect_with(servers.postgres.options()).await.unwrap();
    PostgresStorage::setup(&pool).await.unwrap();
    sqlx::query("TRUNCATE apalis.jobs").execute(&pool).await.unwrap();
    let config = apalis_postgres::Config::default().queue("peers").batch_size(fetch.0);
    let storage: PostgresStorage<usize> = PostgresStorage::new(&pool).with_config(config);
    let handled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&handled);
    let worker = WorkerBuilder::new("peer")
        .backend(storage.clone().poll_with_interval(LOOK))
        .parallelize(tokio::spawn)
        .build(move |job: usize| work(job, Arc::clone(&counter)));
    let worker = tokio::spawn(worker.run());
    let began = Instant::now();
    submit_all(operations, clients, || storage.clone()).await;
    until(|| async { handled.load(Ordering::Relaxed) >= operations }).await;
    until(|| async {
        let done = sqlx::query_scalar("SELECT count(*) FROM apalis.jobs WHERE status = 'Done'");
        let done: i64 = done.fetch_one(&pool).await.unwrap();
        usize::try_from(done).unwrap() >= operations
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    worker.abort();
    took
}

pub(crate) async fn redis(servers: &Servers, operations: usize, clients: usize, fetch: Fetch) -> f64 {
    let mut connection = apalis_redis::connect(servers.redis.url()).await.unwrap();
    let _flushed: String = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    let config = apalis_redis::Config::default().queue("peers").batch_size(fetch.0);
    let done_jobs = config.done_jobs_set();
    let storage: RedisStorage<usize> = RedisStorage::new(connection.clone()).with_config(config);
    let handled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&handled);
    let worker = WorkerBuilder::new("peer")
        .backend(storage.clone().poll_with_interval(LOOK))
        .parallelize(tokio::spawn)
        .build(move |job: usize| work(job, Arc::clone(&counter)));
    let worker = tokio::spawn(worker.run());
    let began = Instant::now();
    submit_all(operations, clients, || storage.clone()).await;
    until(|| async { handled.load(Ordering::Relaxed) >= operations }).await;
    until(|| async {
        let mut scard = redis::cmd("SCARD");
        let done: usize = scard.arg(&done_jobs).query_async(&mut connection.clone()).await.unwrap();
        done >= operations
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    worker.abort();
    took
}

async fn work(_job: usize, handled: Arc<AtomicUsize>) -> Result<String, BoxDynError> {
    yield_now().await;
    handled.fetch_add(1, Ordering::Relaxed);
    Ok("done".to_owned())
}

async fn submit_all<S, K>(operations: usize, clients: usize, storage: impl Fn() -> S)
where
    S: TaskSink<usize, K> + Send + 'static,
    S::Error: Debug,
{
    let mut submitters = JoinSet::new();
    for client in 0..clients {
        let mut storage = storage();
        submitters.spawn(async move {
            for operation in (client..operations).step_by(clients) {
                storage.push(operation).await.unwrap();
            }
        });
    }
    while let Some(submitted) = submitters.join_next().await {
        submitted.unwrap();
    }
}

/// Looks again and again, in the same way on both sides.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    while !holds().await {
        sleep(Duration::from_millis(2)).await;
    }
}
