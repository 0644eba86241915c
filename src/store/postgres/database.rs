//! How a statement is run: in bounded time, again where it met another, and never over a connection of which it is not
//! known what it still does.

use std::{error::Error, future::poll_fn, io::ErrorKind, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Either, PgConnection,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::time::timeout;

use super::{
    connections::Connections,
    literal::render,
    prepared::Prepared,
    statement::{PLANNED, Statement},
};
use crate::store::StoreError;

/// How often a statement is run that meets another, as in a deadlock.
const TRIES: usize = 5;

/// As many heartbeats may wait for a server that does not answer. One connection is enough where it does.
const HEARTBEATS: usize = 4;

/// The code of what has waited in vain for a lock.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What is larger is not written into statements but goes beside them.
pub(super) const LARGE: usize = 32 * 1024;

/// What a field can hold, with room for the rest of its row.
const LARGEST: usize = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Database {
    connections: Connections,
    /// For heartbeats, which are not to wait behind all that others have been waiting for, as after an outage.
    heartbeats: Connections,
    prepared: Arc<Prepared>,
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

impl Database {
    /// Connects when it is first used.
    pub(super) fn new(
        options: PgConnectOptions,
        connections: usize,
        prefix: String,
        patience: Duration,
        often: &[Statement],
    ) -> Self {
        let prepared = Arc::new(Prepared::new(often, &prefix));
        let (waits, options) = (patience / 2, sound(options));
        let heartbeats = Connections::new(HEARTBEATS, waits, options.clone(), None);
        let connections = Connections::new(connections, waits, options, Some(Arc::clone(&prepared)));
        Self { connections, heartbeats, prepared, prefix, patience }
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
        self.by_name(way, statement, arguments).await.map_err(unavailable_or_full)
    }

    /// The same where it only reads: over another connection where the first was cut.
    pub(super) async fn look(&self, statement: &Statement, arguments: &[&str]) -> Result<Vec<PgRow>, StoreError> {
        let mut looked = self.by_name(Way::Plain, statement, arguments).await;
        if looked.as_ref().is_err_and(is_cut) {
            self.connections.forget();
            looked = self.by_name(Way::Plain, statement, arguments).await;
        }
        looked.map_err(unavailable_or_full)
    }

    /// Asks by the statement's name where sessions know it.
    async fn by_name(
        &self,
        way: Way<'_>,
        statement: &Statement,
        arguments: &[&str],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if !matches!(way, Way::Large(_))
            && let Some(name) = self.prepared.name(statement)
        {
            let execute = PLANNED.to_owned() + &Statement::execute(name, arguments);
            match self.run(&self.connections, Arc::new(execute), way).await {
                Err(error) if has_code(&error, &["26000"]) => self.prepared.was_unknown(),
                Ok(rows) => {
                    self.prepared.was_known();
                    return Ok(rows);
                }
                Err(error) => return Err(error),
            }
        }
        let whole = statement.whole(&self.prefix, arguments);
        let text = if matches!(way, Way::Large(_)) { whole } else { PLANNED.to_owned() + &whole };
        self.run(&self.connections, Arc::new(text), way).await
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
        self.prepared.is_kept()
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
                Way::Plain => run_plain(&mut connection, statement).await,
                Way::Announcing(announcement) => run_announcing(&mut connection, statement, announcement).await,
                Way::Large(bytes) => run_large(&mut connection, statement, bytes).await,
            }
        };
        let Done { rows, is_sound } =
            timeout(self.patience, running).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        if is_sound {
            connection.give_back();
        }
        Ok(rows)
    }
}

/// What a statement returned, and whether its connection can be used again.
struct Done {
    rows: Vec<PgRow>,
    is_sound: bool,
}

async fn run_plain(connection: &mut PgConnection, statement: &Arc<String>) -> Result<Done, sqlx::Error> {
    let rows = sqlx::raw_sql(AssertSqlSafe(Arc::clone(statement))).fetch_all(connection).await?;
    Ok(Done { rows, is_sound: true })
}

/// Once it is committed, it does not matter any more whether it is announced.
async fn run_announcing(
    connection: &mut PgConnection,
    statement: &Arc<String>,
    announcement: &str,
) -> Result<Done, sqlx::Error> {
    let message = format!("BEGIN; {statement}; COMMIT; {announcement}");
    // Each statement ends with a result, and no value has a semicolon in it.
    let until_committed = statement.matches(';').count() + 3;
    let mut answers = sqlx::raw_sql(AssertSqlSafe(message)).fetch_many(connection);
    let (mut rows, mut results, mut is_sound) = (Vec::new(), 0, true);
    while let Some(answer) = poll_fn(|context| answers.as_mut().poll_next(context)).await {
        match answer {
            Ok(Either::Left(_)) => results += 1,
            Ok(Either::Right(row)) if results < until_committed => rows.push(row),
            Ok(Either::Right(_)) => {}
            Err(error) if results < until_committed => return Err(error),
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "changes were not announced");
                is_sound = has_code(&error, &[LOCK_NOT_AVAILABLE]);
            }
        }
    }
    Ok(Done { rows, is_sound })
}

async fn run_large(
    connection: &mut PgConnection,
    statement: &Arc<String>,
    bytes: Option<&[u8]>,
) -> Result<Done, sqlx::Error> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement))).persistent(false);
    if let Some(bytes) = bytes {
        query = query.bind(bytes);
    }
    let rows = query.fetch_all(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(Done { rows, is_sound: true })
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

pub(super) fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| codes.contains(&&*code))
}

/// Whether the connection has come to its end, and maybe no more than that.
fn is_cut(error: &sqlx::Error) -> bool {
    let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
    has_code(error, &["57P01", "57P02"]) || matches!(error, sqlx::Error::Io(error) if kinds.contains(&error.kind()))
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
