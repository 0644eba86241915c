//! The connection to the server: made when it is needed, made anew when it is lost, and never waited for without end.

use std::{fmt, io, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, RedisError,
    RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout},
};

use super::scripts::Call;
use crate::store::StoreError;

/// For so long after the server could not be reached or did not answer, it is not tried again: what waited meanwhile is
/// not to wait as long once more.
const GIVEN_UP_FOR: Duration = Duration::from_millis(250);

/// Redirected more often than this, the cluster is not in order.
const REDIRECTIONS: usize = 3;

#[derive(Debug)]
pub(super) struct Connection {
    /// As it was asked for: any server that knows where the store is.
    info: ConnectionInfo,
    patience: Duration,
    line: Mutex<Line>,
    awaited: Option<Awaited>,
}

/// What is waited for once something was written: a connection of its own, since whatever is asked over it meanwhile
/// waits as well.
#[derive(Debug)]
struct Awaited {
    replicas: usize,
    connection: Box<Connection>,
}

#[derive(Default)]
struct Line {
    open: Option<MultiplexedConnection>,
    /// Counts the connections, so that one that fails takes down no later one.
    number: u64,
    /// Where the cluster says that the store is.
    elsewhere: Option<ConnectionAddr>,
    given_up: Option<(Instant, RedisError)>,
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Line").field("is_open", &self.open.is_some()).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(info: ConnectionInfo, patience: Duration, replicas: usize) -> Self {
        let own = |info| Self { info, patience, line: Mutex::default(), awaited: None };
        let awaited = (replicas > 0).then(|| Awaited { replicas, connection: Box::new(own(info.clone())) });
        Self { awaited, ..own(info) }
    }

    /// Runs a script that writes, and waits for as many replicas as were asked for.
    pub(super) async fn write(&self, call: &Call) -> Result<Value, StoreError> {
        let Some(Awaited { replicas, connection }) = &self.awaited else { return self.script(call).await };
        let answer = connection.try_script(call).await;
        if answer.as_ref().is_err_and(|error| is_lost(error) && !error.is_timeout()) {
            // Who reads is not to stay with a server that has a successor.
            let mut line = self.line().await;
            (line.open, line.elsewhere) = (None, None);
        }
        let answer = answer.map_err(unavailable)?;
        let mut wait = redis::cmd("WAIT");
        wait.arg(replicas).arg(u64::try_from(self.patience.as_millis() / 2).unwrap_or(u64::MAX));
        let reached: usize = connection.ask(&wait).await?;
        match reached < *replicas {
            true => Err(unavailable(TooFewReplicas { reached })),
            false => Ok(answer),
        }
    }

    /// Runs a script; gives it to the server first where it does not know it, or no longer.
    pub(super) async fn script(&self, call: &Call) -> Result<Value, StoreError> {
        self.try_script(call).await.map_err(unavailable)
    }

    pub(super) async fn try_script(&self, call: &Call) -> RedisResult<Value> {
        match self.try_to_ask(&call.command).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let _hash: Value = self.try_to_ask(redis::cmd("SCRIPT").arg("LOAD").arg(call.script.text)).await?;
                self.try_to_ask(&call.command).await
            }
            answer => answer,
        }
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.try_to_ask(command).await.map_err(unavailable)
    }

    pub(super) async fn try_to_ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut answer = self.ask_once(command).await;
        for _ in 0..REDIRECTIONS {
            let Some(address) = answer.as_ref().err().and_then(|error| self.redirected(error)) else { break };
            let mut line = self.line().await;
            (line.open, line.elsewhere) = (None, Some(address));
            drop(line);
            answer = self.ask_once(command).await;
        }
        answer
    }

    async fn ask_once<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let opened = timeout(self.patience, self.open()).await.unwrap_or_else(|_| Err(too_slow()));
        let (mut connection, number) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(self.give_up(error).await),
        };
        match timeout(self.patience, command.query_async(&mut connection)).await {
            Ok(Err(error)) if is_lost(&error) => {
                self.hang_up(number).await;
                Err(error)
            }
            Ok(answer) => answer,
            Err(_) => {
                self.hang_up(number).await;
                Err(self.give_up(too_slow()).await)
            }
        }
    }

    async fn open(&self) -> RedisResult<(MultiplexedConnection, u64)> {
        let mut line = self.line().await;
        if let Some(open) = &line.open {
            return Ok((open.clone(), line.number));
        }
        if let Some((_, error)) = line.given_up.as_ref().filter(|(at, _)| at.elapsed() < GIVEN_UP_FOR) {
            return Err(error.clone());
        }
        let elsewhere = line.elsewhere.take();
        let info = elsewhere.clone().map_or_else(|| self.info.clone(), |address| self.info.clone().set_addr(address));
        let opened = connect(info, config()).await?;
        (line.elsewhere, line.given_up) = (elsewhere, None);
        line.number += 1;
        line.open = Some(opened.clone());
        Ok((opened, line.number))
    }

    /// The next connection begins at the server that was asked for.
    async fn hang_up(&self, number: u64) {
        let mut line = self.line().await;
        if line.number == number {
            (line.open, line.elsewhere) = (None, None);
        }
    }

    async fn give_up(&self, error: RedisError) -> RedisError {
        let mut line = self.line().await;
        let still = line.given_up.as_ref().is_some_and(|(at, _)| at.elapsed() < GIVEN_UP_FOR);
        if !still {
            line.given_up = Some((Instant::now(), error.clone()));
        }
        error
    }

    async fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().await
    }

    fn redirected(&self, error: &RedisError) -> Option<ConnectionAddr> {
        let moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
        let (address, _) = error.redirect_node().filter(|_| moved)?;
        let (host, port) = address.rsplit_once(':')?;
        let (host, port) = (host.to_owned(), port.parse().ok()?);
        let same_if_empty = |same: &str| if host.is_empty() { same.to_owned() } else { host.clone() };
        match self.info.addr() {
            ConnectionAddr::Tcp(same, _) => Some(ConnectionAddr::Tcp(same_if_empty(same), port)),
            ConnectionAddr::TcpTls { host: same, insecure, tls_params, .. } => Some(ConnectionAddr::TcpTls {
                host: same_if_empty(same),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            }),
            _ => None,
        }
    }
}

/// How long to wait is said once for a connection and what is asked over it together.
pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

pub(super) async fn connect(info: ConnectionInfo, config: AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
    Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
}

/// Whether another connection may do better than this one: to the same server once it is back, or to its successor.
fn is_lost(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
    match error.kind() {
        ErrorKind::Server(kind) => matches!(kind, BusyLoading | ClusterDown | MasterDown | ReadOnly),
        _ => error.is_io_error() || error.is_unrecoverable_error(),
    }
}

fn too_slow() -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time").into()
}

pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

#[derive(Debug, thiserror::Error)]
#[error("no more than {reached} replicas have what was written")]
struct TooFewReplicas {
    reached: usize,
}
