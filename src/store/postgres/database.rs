//! How a statement is run: in bounded time, again where it met another, and never over a connection of which it is not known
//! what it still does.

use std::{
    collections::HashMap,
    error::Error,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Either, PgConnection,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::time::timeout;
use tracing::info;

use super::{
    connections::Connections,
    literal::render,
    statement::{PLANNED, Statement},
};
use crate::{store::StoreError, telemetry::quietly};

/// How often a statement is run that meets another, as in a deadlock.
const TRIES: usize = 5;

/// So often in a row sessions may have forgotten the statements: once, another is told them.
const MISSES: usize = 2;

/// As many heartbeats may wait for a server that does not answer. One connection is enough where it does.
const HEARTBEATS: u32 = 4;

/// What is larger is not written into statements but goes beside them.
pub(super) const LARGE: usize = 32 * 1024;

/// What a field can hold, with room for the rest of its row.
const LARGEST: usize = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Database {
    connections: Connections,
    /// For heartbeats, which are not to wait behind all that others have been waiting for, as after an outage.
    heartbeats: Connections,
    /// The names of statements that are asked often.
    names: HashMap<&'static str, String>,
    /// Whether sessions know these names.
    is_known: Arc<AtomicBool>,
    /// How often in a row a session did not, though it had been told.
    misses: AtomicUsize,
    pub(super) prefix: String,
    pub(super) patience: Duration,
}

/// How a statement travels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    /// As one message; its rows come back as text.
    Plain,
    /// The same, and once it is committed what it has changed is announced, so that this takes no message of its own.
    Announcing(&'a str),
    /// In a transaction of several messages, so that rows and what is given for `$1` may be large.
    Large(Option<&'a [u8]>),
}

impl<'a> Way<'a> {
    /// As one message, with this behind it where there is anything to announce.
    pub(super) fn announcing(announcement: Option<&'a str>) -> Self {
        announcement.map_or(Self::Plain, Self::Announcing)
    }
}

impl Database {
    /// Connects when it is first used, on the runtime that is current now.
    pub(super) fn new(
        options: PgConnectOptions,
        connections: u32,
        prefix: String,
        patience: Duration,
        often: &[Statement],
    ) -> Self {
        let names = often.iter().map(|statement| (statement.label, statement.name(&prefix))).collect();
        let prepare = Arc::new(often.iter().map(|statement| statement.prepare(&prefix)).collect::<String>());
        let is_known = Arc::new(AtomicBool::new(true));
        let known = Arc::clone(&is_known);
        let options = sound(options);
        let heartbeats = Connections::new(HEARTBEATS, patience, options.clone(), |pool| pool);
        let connections = Connections::new(connections, patience, options, |pool| {
            pool.after_connect(move |connection, _| {
                let (known, prepare) = (Arc::clone(&known), Arc::clone(&prepare));
                Box::pin(async move {
                    if !known.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    match sqlx::raw_sql(AssertSqlSafe(prepare)).execute(connection).await {
                        // Another session has been here before: a proxy shares it out.
                        Err(error) if has_code(&error, &["42P05"]) => give_up(&known),
                        prepared => _ = prepared?,
                    }
                    Ok(())
                })
            })
        });
        Self { connections, heartbeats, names, is_known, misses: AtomicUsize::new(0), prefix, patience }
    }

    /// The rows that a statement returns.
    pub(super) async fn rows(&self, template: &str, values: &[(&str, &str)]) -> Result<Vec<PgRow>, StoreError> {
        self.rows_by(Way::Plain, template, values).await
    }

    pub(super) async fn rows_by(
        &self,
        way: Way<'_>,
        template: &str,
        values: &[(&str, &str)],
    ) -> Result<Vec<PgRow>, StoreError> {
        self.run(&self.connections, Arc::new(self.render(template, values)), way).await.map_err(unavailable_or_full)
    }

    /// The rows that a statement returns which waits for no other.
    pub(super) async fn rows_at_once(&self, template: &str, values: &[(&str, &str)]) -> Result<Vec<PgRow>, StoreError> {
        let statement = Arc::new(self.render(template, values));
        self.run(&self.heartbeats, statement, Way::Plain).await.map_err(unavailable_or_full)
    }

    /// The rows that a statement returns which is asked often.
    pub(super) async fn often(
        &self,
        way: Way<'_>,
        statement: &Statement,
        arguments: &[&str],
    ) -> Result<Vec<PgRow>, StoreError> {
        if self.is_known.load(Ordering::Relaxed)
            && !matches!(way, Way::Large(_))
            && let Some(name) = self.names.get(statement.label)
        {
            let execute = PLANNED.to_owned() + &Statement::execute(name, arguments);
            match self.run(&self.connections, Arc::new(execute), way).await {
                Err(error) if has_code(&error, &["26000"]) => self.miss(),
                Ok(rows) => {
                    self.misses.store(0, Ordering::Relaxed);
                    return Ok(rows);
                }
                Err(error) => return Err(unavailable_or_full(error)),
            }
        }
        let whole = statement.whole(&self.prefix, arguments);
        let statement = if matches!(way, Way::Large(_)) { whole } else { PLANNED.to_owned() + &whole };
        self.run(&self.connections, Arc::new(statement), way).await.map_err(unavailable_or_full)
    }

    /// The connection is given up by now: the next one is told the statements, unless that is in vain.
    fn miss(&self) {
        if self.misses.fetch_add(1, Ordering::Relaxed) + 1 >= MISSES {
            give_up(&self.is_known);
        }
    }

    async fn run(
        &self,
        connections: &Connections,
        statement: Arc<String>,
        way: Way<'_>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut tries = 1;
        loop {
            match self.run_once(connections, &statement, way).await {
                Err(error) if tries < TRIES && has_code(&error, &["40001", "40P01"]) => tries += 1,
                outcome => return outcome,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn knows_statements(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    pub(super) fn render(&self, template: &str, values: &[(&str, &str)]) -> String {
        render(template, &self.prefix, values)
    }

    async fn run_once(
        &self,
        connections: &Connections,
        statement: &Arc<String>,
        way: Way<'_>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut connection = connections.acquire().await?;
        let running = async {
            match way {
                Way::Plain => sqlx::raw_sql(AssertSqlSafe(Arc::clone(statement))).fetch_all(&mut *connection).await,
                Way::Announcing(announcement) => run_announcing(&mut connection, statement, announcement).await,
                Way::Large(bytes) => run_large(&mut connection, statement, bytes).await,
            }
        };
        let outcome = timeout(self.patience, running).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        match &outcome {
            Ok(_) => connections.give_back(connection),
            // It may be in the middle of anything, such as a transaction.
            Err(_) => connection.close(),
        }
        outcome
    }
}

/// Has statements sent whole from now on.
fn give_up(is_known: &AtomicBool) {
    if is_known.swap(false, Ordering::Relaxed) {
        quietly(|| info!("sessions do not keep prepared statements, as behind a proxy that pools transactions"));
    }
}

/// Once it is committed, it does not matter any more whether it is announced.
async fn run_announcing(
    connection: &mut PgConnection,
    statement: &Arc<String>,
    announcement: &str,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let message = format!("BEGIN; {statement}; COMMIT; {announcement}");
    // Each statement ends with a result, and no value has a semicolon in it.
    let until_committed = statement.matches(';').count() + 3;
    let mut answers = sqlx::raw_sql(AssertSqlSafe(message)).fetch_many(connection);
    let (mut rows, mut results) = (Vec::new(), 0);
    while let Some(answer) = poll_fn(|context| answers.as_mut().poll_next(context)).await {
        match answer {
            Ok(Either::Left(_)) => results += 1,
            Ok(Either::Right(row)) if results < until_committed => rows.push(row),
            Ok(Either::Right(_)) => {}
            Err(error) if results < until_committed => return Err(error),
            Err(error) => tracing::debug!(error = &error as &dyn Error, "changes were not announced"),
        }
    }
    Ok(rows)
}

async fn run_large(
    connection: &mut PgConnection,
    statement: &Arc<String>,
    bytes: Option<&[u8]>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement))).persistent(false);
    if let Some(bytes) = bytes {
        query = query.bind(bytes);
    }
    match query.fetch_all(&mut *connection).await {
        Ok(rows) => sqlx::raw_sql("COMMIT").execute(connection).await.map(|_| rows),
        Err(error) => {
            sqlx::raw_sql("ROLLBACK").execute(connection).await?;
            Err(error)
        }
    }
}

/// The user's options, less what proxies do not pass on, and with nothing of what is kept in any log.
pub(super) fn sound(options: PgConnectOptions) -> PgConnectOptions {
    options.extra_float_digits(None).statement_cache_capacity(0).disable_statement_logging()
}

/// Refuses what no field can hold.
pub(super) fn admit(size: usize) -> Result<(), StoreError> {
    match size <= LARGEST {
        true => Ok(()),
        false => Err(StoreError::Unsupported("requests and replies of more than 1,000,000,000 bytes")),
    }
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| codes.contains(&&*code))
}

fn unavailable_or_full(error: sqlx::Error) -> StoreError {
    match has_code(&error, &["53100"]) {
        true => StoreError::Full,
        false => unavailable(error),
    }
}

pub(super) fn unavailable(error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

pub(super) fn unreadable(error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unreadable(Box::new(error))
}
