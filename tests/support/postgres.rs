//! A PostgreSQL server of one's own, and pgbouncer before it: in a directory that goes with this process, reached over
//! sockets in that directory.

#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "as in tests")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

/// Runs until its standard input ends, which it does with this process, however that ends.
const SERVE: &str = r#"
set -eu
trap '' INT
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
initdb -D "$directory/data" -U test -A trust -E UTF8 --no-locale --no-sync >/dev/null
echo "listen_addresses = ''" >> "$directory/data/postgresql.conf"
echo "unix_socket_directories = '$directory'" >> "$directory/data/postgresql.conf"
echo "max_connections = 500" >> "$directory/data/postgresql.conf"
pg_ctl -D "$directory/data" -l "$directory/log" -w start >/dev/null
echo "$directory"
cat >/dev/null
pg_ctl -D "$directory/data" -m immediate stop >/dev/null
"#;

const POOL: &str = r#"
set -eu
trap '' INT
cat > "$DIRECTORY/pgbouncer.ini" <<END
[databases]
* = host=$DIRECTORY port=5432 user=test
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = $DIRECTORY
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 1000
logfile = $DIRECTORY/pgbouncer.log
END
pgbouncer -q "$DIRECTORY/pgbouncer.ini" </dev/null >/dev/null 2>&1 &
# Its socket is there a moment before it listens.
until pg_isready -q -h "$DIRECTORY" -p 6432; do kill -0 $!; sleep 0.01; done
echo "$DIRECTORY"
cat >/dev/null
kill $!
"#;

/// A server. It stops with this process.
#[derive(Debug)]
pub(crate) struct Server {
    directory: PathBuf,
    running: Running,
    databases: AtomicU32,
}

/// What ends when its input does.
#[derive(Debug)]
pub(crate) struct Running(Child, Option<ChildStdin>);

impl Server {
    /// Starts one, with durable commits.
    pub(crate) fn start() -> Self {
        let (running, directory) = run(SERVE, Path::new(""));
        Self { directory, running, databases: AtomicU32::new(0) }
    }

    /// How to reach the server itself.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.directory).port(5432).username("test").database("postgres")
    }

    /// Starts pgbouncer, which pools transactions, before it.
    pub(crate) fn pgbouncer(&self) -> (Running, PgConnectOptions) {
        let (running, _) = run(POOL, &self.directory);
        (running, self.options().port(6432))
    }

    /// A prefix that no other test has.
    pub(crate) fn prefix(&self) -> String {
        format!("t{}_", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs statements and returns the first column of the last row.
    pub(crate) async fn sql(&self, statements: &str) -> String {
        let mut connection = self.options().connect().await.unwrap();
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows.last().map(|row| sqlx::Row::try_get_unchecked(row, 0).unwrap()).unwrap_or_default()
    }

    /// Does this with the server: `stop`, as in a crash, or `start`.
    pub(crate) fn control(&self, what: &str) {
        let arguments = "-D \"$DIRECTORY/data\" -l \"$DIRECTORY/log\" -w -m immediate";
        let script = format!("pg_ctl {arguments} {what} >/dev/null </dev/null");
        let done = as_postgres(&script, &self.directory).status().expect("pg_ctl runs");
        assert!(done.success(), "{what}");
    }
}

/// As in the worst of crashes.
impl Server {
    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// Kills it, so that it cannot so much as tell its own processes.
    pub(crate) fn kill(&self) {
        self.run_here("kill -9 $(head -n 1 \"$DIRECTORY/data/postmaster.pid\")");
    }

    /// Starts it again, once nothing of the one before is left.
    pub(crate) fn restart(&self) {
        let start = "pg_ctl -D \"$DIRECTORY/data\" -l \"$DIRECTORY/log\" -w start >/dev/null 2>&1 </dev/null";
        self.run_here(&format!("for again in $(seq 100); do {start} && exit 0; sleep 0.1; done; exit 1"));
    }

    fn run_here(&self, script: &str) {
        let done = as_postgres(script, &self.directory).status().expect("sh runs");
        assert!(done.success(), "{script}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.1 = None;
        let _ended = self.0.wait();
    }
}

fn run(script: &str, directory: &Path) -> (Running, PathBuf) {
    for (program, package) in [("initdb", "postgresql"), ("pg_ctl", "postgresql"), ("pgbouncer", "pgbouncer")] {
        let found = as_postgres(&format!("command -v {program} >/dev/null"), directory).status();
        assert!(found.is_ok_and(|found| found.success()), "{program} is missing: install Debian's package {package}");
    }
    let mut child =
        as_postgres(script, directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh runs");
    let (input, output) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("it says where it is");
    assert!(!line.is_empty(), "it did not start: {:?}", child.wait());
    (Running(child, input), PathBuf::from(line.trim_end()))
}

/// The servers refuse to run as root.
fn as_postgres(script: &str, directory: &Path) -> Command {
    let path = r#"PATH=$PATH:/usr/sbin:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)"#;
    let script = format!("cd /; {path}; {script}");
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let mut command = if root { Command::new("setpriv") } else { Command::new("sh") };
    if root {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
    }
    command.args(["-c", &script]).env("DIRECTORY", directory);
    command
}
