//! The statements that sessions know by name, as long as sessions are one's own.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use sqlx::{AssertSqlSafe, PgConnection};
use tracing::info;

use super::{database::has_code, statement::Statement};
use crate::telemetry::quietly;

/// So often in a row sessions may have forgotten the statements: once, another is told them.
const MISSES: usize = 2;

#[derive(Debug)]
pub(super) struct Prepared {
    names: HashMap<&'static str, String>,
    /// What makes a session know them.
    text: Arc<String>,
    /// Whether sessions keep what they are told.
    is_kept: AtomicBool,
    /// How often in a row a session did not know what it had been told.
    misses: AtomicUsize,
}

impl Prepared {
    pub(super) fn new(often: &[Statement], prefix: &str) -> Self {
        Self {
            names: often.iter().map(|statement| (statement.label, statement.name(prefix))).collect(),
            text: Arc::new(often.iter().map(|statement| statement.prepare(prefix)).collect()),
            is_kept: AtomicBool::new(true),
            misses: AtomicUsize::new(0),
        }
    }

    /// The name by which sessions know the statement, where they do.
    pub(super) fn name(&self, statement: &Statement) -> Option<&str> {
        self.is_kept().then(|| self.names.get(statement.label)).flatten().map(String::as_str)
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// Tells a new session.
    pub(super) async fn tell(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if !self.is_kept() {
            return Ok(());
        }
        match sqlx::raw_sql(AssertSqlSafe(Arc::clone(&self.text))).execute(connection).await {
            // Another session has been here before: a proxy shares it out.
            Err(error) if has_code(&error, &["42P05"]) => self.give_up(),
            told => _ = told?,
        }
        Ok(())
    }

    /// A session knew what it was asked by name.
    pub(super) fn was_known(&self) {
        self.misses.store(0, Ordering::Relaxed);
    }

    /// It did not. Its connection is given up by now, and the next one is told the statements, unless that is in vain.
    pub(super) fn was_unknown(&self) {
        if self.misses.fetch_add(1, Ordering::Relaxed) + 1 >= MISSES {
            self.give_up();
        }
    }

    /// Has statements sent whole from now on.
    fn give_up(&self) {
        if self.is_kept.swap(false, Ordering::Relaxed) {
            quietly(|| info!("sessions do not keep prepared statements, as behind a proxy that pools transactions"));
        }
    }
}
