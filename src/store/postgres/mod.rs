//! The store in PostgreSQL, version 13 or later: operations that survive their process, and replicas that share them.
//!
//! ```no_run
//! use tower_respond_async::store::postgres::PostgresStore;
//!
//! # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PostgresStore::at("postgres://app@db.example/app")?.table_prefix("slow_");
//! store.migrate().await?;
//! let store = store.connect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Connections
//!
//! The store has a thread of its own, so that handlers that block do not hold it up, and opens connections of its own
//! there; of a pool that it is given it takes how to connect. For TLS, switch on one of the `tls-` features of `sqlx`.
//!
//! It passes proxies that pool transactions, such as pgbouncer in any version: it needs nothing of the session and
//! takes no lock that outlives a transaction. What it prepares in a session has names of its own, and where they turn
//! out to be unknown it does without. The one thing that needs a connection to the server itself is to hear of changes:
//! [`listen_on`](PostgresBuilder::listen_on), or without [`announcements`](PostgresBuilder::announcements).
//!
//! # Durability
//!
//! What is answered has been committed. A server that does not keep what it has committed is
//! [refused](PostgresBuilder::weaker_durability). What waits to be written at the same moment is written by one
//! statement and one commit.
//!
//! A request or reply may have up to a gigabyte. What the database has no space for is
//! [`Full`](super::StoreError::Full).

mod announcements;
mod audit;
mod builder;
mod claims;
mod connections;
mod creation;
mod database;
mod ending;
mod error;
mod leases;
mod literal;
mod prepared;
mod reading;
mod rows;
mod schema;
mod shared;
mod statement;
mod sweeping;
mod terms;

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    announcements::{Announcer, listen},
    builder::check_prefix,
    claims::CLAIM,
    creation::{CREATE, CREATE_KEYED, Draft, Written, explain},
    database::Database,
    ending::{FINISH, Outcome},
    reading::{Answer, Question, READ, read_large},
    shared::{Queue, Shared},
};
use super::{
    StoreError, StoreFuture,
    contract::{
        Attempt, Cancellation, Change, Claimed, Counts, Created, Finished, LeaseId, ListFilter, Listed, Listener,
        NewOperation, OpenLease, Part, Snapshot, Store, Swept,
    },
    engine::Engine,
};
use crate::operation::{Failure, OperationId, Owner, Reply, Report};

pub use builder::PostgresBuilder;
pub use error::PostgresError;

/// Operations in PostgreSQL. See the [module](self).
#[derive(Debug)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    creations: Queue<Draft>,
    ends: Queue<Outcome>,
    reports: Queue<(Attempt, Report)>,
    questions: Queue<Question>,
    listening: Option<PgConnectOptions>,
    name: String,
    unused: CancellationToken,
    _until_dropped: DropGuard,
    engine: Engine,
}

impl PostgresStore {
    /// Sets up a store in the database of this URL.
    ///
    /// # Errors
    ///
    /// Says so where it is not a URL.
    pub fn at(url: &str) -> Result<PostgresBuilder, PostgresError> {
        url.parse().map(PostgresBuilder::new).map_err(PostgresError::Url)
    }

    /// Sets up a store in the database of this pool. It opens connections of its own as the pool does.
    #[must_use]
    pub fn with_pool(pool: &PgPool) -> PostgresBuilder {
        PostgresBuilder::from_pool(pool)
    }

    /// What [`migrate`](PostgresBuilder::migrate) does, as SQL, for those who change their databases themselves. It is
    /// to be run in one transaction, and may be run again.
    ///
    /// # Errors
    ///
    /// Says so where it is not a [prefix](PostgresBuilder::table_prefix).
    pub fn migrations(prefix: &str) -> Result<String, PostgresError> {
        check_prefix(prefix).map(|()| schema::migrations(prefix))
    }

    async fn start(builder: PostgresBuilder) -> Result<Self, PostgresError> {
        let engine = Engine::start("respond-async-postgres").map_err(PostgresError::Thread)?;
        let PostgresBuilder { options, listening, prefix, announcements, connections, patience, .. } = builder;
        let listening = announcements.then(|| listening.unwrap_or_else(|| options.clone()));
        let often = [CREATE, CREATE_KEYED, READ, CLAIM, FINISH];
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let database = Arc::new(Database::new(options, connections, prefix, patience, &often));
        let name = OperationId::random().to_string();
        let announcer = match announcements {
            true => Announcer::start(&engine, &database, &name),
            false => Announcer::SILENT,
        };
        let shared = Arc::new(Shared::new(database, announcer));
        let unused = CancellationToken::new();
        Ok(Self {
            creations: Queue::new(&engine, &shared),
            ends: Queue::new(&engine, &shared),
            reports: Queue::new(&engine, &shared),
            questions: Queue::new(&engine, &shared),
            shared,
            listening,
            name,
            _until_dropped: unused.clone().drop_guard(),
            unused,
            engine,
        })
    }

    /// Does this on the store's thread, and then tells others.
    fn run<T, F>(
        &self,
        work: impl FnOnce(Arc<Shared>) -> F + Send + 'static,
        changes: impl FnOnce(&T) -> Vec<Change> + Send + 'static,
    ) -> StoreFuture<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let shared = Arc::clone(&self.shared);
        self.engine.run(async move {
            let done = work(Arc::clone(&shared)).await?;
            changes(&done).into_iter().for_each(|change| shared.announcer.tell(change));
            Ok(done)
        })
    }
}

impl Store for PostgresStore {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        match Draft::new(operation) {
            Err(error) => StoreFuture::ready(Err(error)),
            Ok(draft) if draft.is_large() => {
                self.run(async move |shared| creation::create_large(&shared, draft).await, |_| vec![Change::Queued])
            }
            Ok(draft) => {
                let (written, engine, shared) =
                    (self.creations.write(draft), self.engine.clone(), Arc::clone(&self.shared));
                StoreFuture::pending(async move {
                    match written.await? {
                        Written::New(at) => Ok(Created::New { at }),
                        Written::Not(draft) => engine.run(async move { explain(&shared, &draft).await }).await,
                    }
                })
            }
        }
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, part: Part) -> StoreFuture<Option<Snapshot>> {
        let read = self.questions.write(Question { id, owner: owner.cloned(), part });
        let (engine, shared) = (self.engine.clone(), Arc::clone(&self.shared));
        StoreFuture::pending(async move {
            match read.await? {
                Answer::Found(found) => Ok(found),
                Answer::Large => engine.run(async move { read_large(&shared, id).await }).await,
            }
        })
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        match Outcome::new(attempt, &reply) {
            Err(error) => StoreFuture::ready(Err(error)),
            Ok(outcome) if outcome.is_large() => self.run(
                async move |shared| ending::finish_large(&shared, outcome).await,
                move |_| vec![Change::Operation(attempt.operation)],
            ),
            Ok(outcome) => self.ends.write(outcome),
        }
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        let owner = owner.cloned();
        self.run(
            async move |shared| ending::cancel(&shared, id, owner.as_ref()).await,
            move |_| vec![Change::Operation(id)],
        )
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        let owner = owner.cloned();
        self.run(
            async move |shared| ending::forget(&shared, id, owner.as_ref()).await,
            move |_| vec![Change::Operation(id)],
        )
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        let owner = owner.clone();
        self.run(async move |shared| reading::list(&shared, &owner, filter, limit).await, |_| Vec::new())
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        self.reports.write((attempt, report))
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        self.run(async move |shared| leases::open(&shared, length, &running).await, |_| Vec::new())
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        self.run(async move |shared| leases::renew(&shared, lease, &running).await, |_| Vec::new())
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.run(async move |shared| leases::close(&shared, lease).await, |()| Vec::new())
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        let engine = self.engine.clone();
        self.run(
            async move |shared| claims::claim(&shared, &engine, lease, limit).await,
            |claimed| claimed.iter().map(|claimed| Change::Operation(claimed.attempt.operation)).collect(),
        )
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.run(
            async move |shared| ending::retry(&shared, attempt, failure).await,
            move |_| vec![Change::Operation(attempt.operation), Change::Queued],
        )
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.run(
            async move |shared| ending::hand_back(&shared, attempt).await,
            move |_| vec![Change::Operation(attempt.operation), Change::Queued],
        )
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        self.run(
            async move |shared| sweeping::sweep(&shared, limit).await,
            |swept| {
                let ended = swept.ended.iter().map(|(id, _)| id);
                let changed = ended.chain(&swept.queued).copied().map(Change::Operation);
                changed.chain((!swept.queued.is_empty()).then_some(Change::Queued)).collect()
            },
        )
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.run(async move |shared| shared.counts().await, |_| Vec::new())
    }

    fn announce_to(&self, listener: Listener) {
        if let Some(options) = self.listening.clone() {
            let (prefix, name) = (self.shared.database.prefix.clone(), self.name.clone());
            let unused = self.unused.clone();
            self.engine.spawn(async move {
                let _unused = unused.run_until_cancelled(listen(options, prefix, name, listener)).await;
            });
        }
    }
}

#[cfg(test)]
mod tests;
