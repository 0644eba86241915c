//! The checks that every store passes, for those who write one.
//!
//! Each check holds a store to one sentence of the [contract](super::contract), and is named for it. A store is made
//! anew for each, empty, and with two connections to the same data, as two replicas have them:
//!
//! ```no_run
//! use std::sync::Arc;
//! use tower_respond_async::store::{conformance::{self, Replicas, Violations}, contract::Store};
//! # async fn empty_database() -> String { String::new() }
//! # async fn connect(database: &str) -> Arc<dyn Store> { unimplemented!("{database}") }
//!
//! // As a #[tokio::test]:
//! async fn keeps_the_contract() -> Result<(), Violations> {
//!     conformance::run(async || {
//!         let database = empty_database().await;
//!         Replicas::new(connect(&database).await, connect(&database).await)
//!     })
//!     .await
//! }
//! ```
//!
//! A check can be run by itself, too, on a store of its own: [`checks`] has them all, with their names.
//!
//! The checks use real time, some seconds in all, and wait for what they want to see until the store shows it: they
//! need a runtime with its timer on, and its clock not paused. No check expects that anything is quick, only that
//! nothing takes a minute.
//!
//! What only the store itself can bring about is left to its own tests: that it is full or cannot be reached, that it
//! meets a row which is locked or cannot be read, that it survives a restart.

mod checks;
mod claims;
mod content;
mod creation;
mod dropped;
mod fencing;
mod leases;
mod lists;
mod outcome;
mod owners;
mod races;
#[cfg(test)]
mod reference;
mod rescues;
mod sequences;
mod stage;
mod sweeps;
#[cfg(test)]
mod tests;
mod violation;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinSet, LocalSet},
    time::timeout,
};

use super::contract::Store;
pub use checks::checks;
use stage::Stage;
use violation::Checked;
pub use violation::{Violation, Violations};

/// How many checks run at once: most of them wait most of the time.
const AT_ONCE: usize = 8;

/// How long a check may take before the store is said to hang.
const HANGS: Duration = Duration::from_secs(120);

/// Two connections to the same data.
#[derive(Clone, Debug)]
pub struct Replicas {
    one: Arc<dyn Store>,
    another: Arc<dyn Store>,
    leases: bool,
    announces: bool,
}

impl Replicas {
    /// Two connections to the same data, in which there is nothing yet.
    pub fn new(one: Arc<dyn Store>, another: Arc<dyn Store>) -> Self {
        Self { one, another, leases: true, announces: false }
    }

    /// A store that knows neither leases nor queues, since all its operations run in one process and end with it.
    pub fn without_leases(store: Arc<dyn Store>) -> Self {
        Self { leases: false, ..Self::new(Arc::clone(&store), store) }
    }

    /// Each connection announces what is changed over the other.
    #[must_use]
    pub fn announcing(self) -> Self {
        Self { announces: true, ..self }
    }

    fn can(&self, need: Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Leases => self.leases,
            Need::Announcements => self.announces,
        }
    }
}

/// What a check needs of a store beyond the bare minimum.
#[derive(Clone, Copy, Debug)]
enum Need {
    Nothing,
    Leases,
    Announcements,
}

/// One sentence of the contract.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    need: Need,
    run: fn(Stage) -> Checking,
}

type Checking = Pin<Box<dyn Future<Output = Checked>>>;

impl Check {
    /// What holds, in a few words.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Holds an empty store to it. A store that [cannot](Replicas::without_leases) do what it is about passes.
    ///
    /// # Errors
    ///
    /// Says how the store breaks it.
    pub async fn run(&self, replicas: Replicas) -> Result<(), Violation> {
        if !replicas.can(self.need) {
            return Ok(());
        }
        let checking = async { (self.run)(Stage::new(replicas).await?).await };
        timeout(HANGS, checking).await.unwrap_or_else(|_| Err(Violation::new("the store hangs")))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Check").field(&self.name).finish()
    }
}

/// Holds stores to every check; `make` makes an empty one for each.
///
/// # Errors
///
/// Names the checks that failed, and says how.
pub async fn run(make: impl AsyncFn() -> Replicas) -> Result<(), Violations> {
    let together = async {
        let mut running = JoinSet::new();
        let mut violations = Vec::new();
        for check in checks() {
            while running.len() >= AT_ONCE {
                violations.extend(running.join_next().await.and_then(failed));
            }
            let replicas = make().await;
            running.spawn_local(async move { (check.name(), check.run(replicas).await) });
        }
        while let Some(done) = running.join_next().await {
            violations.extend(failed(done));
        }
        Violations::none_of(violations)
    };
    LocalSet::new().run_until(together).await
}

type Done = Result<(&'static str, Checked), JoinError>;

fn failed(done: Done) -> Option<(&'static str, Violation)> {
    match done {
        Ok((name, checked)) => checked.err().map(|violation| (name, violation)),
        Err(panicked) => Some(("a check", Violation::new(panicked.to_string()))),
    }
}
