//! How long things go wrong, and how much is asked for meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{answers::Answers, ledger::Ledger, setting};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Some work at a time, much of which takes seconds.
    Light,
    /// Much work at a time, most of which takes tenths of a second.
    Heavy,
}

/// What has to be reached before it is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) load: Load,
    length: Duration,
    operations: usize,
    kills: usize,
}

impl Course {
    pub(crate) fn from_environment() -> Self {
        match setting::<f64>("LONG") {
            None => {
                let length = Duration::from_secs(setting("SECONDS").unwrap_or(25));
                Self { load: Load::Light, length, operations: 0, kills: 0 }
            }
            Some(long) => Self {
                load: Load::Heavy,
                length: Duration::ZERO,
                operations: (100_000.0 * long) as usize,
                kills: (300.0 * long).ceil() as usize,
            },
        }
    }

    /// Waits until enough has gone wrong, and says so.
    pub(crate) async fn run(self, answers: &Answers, ledger: &Ledger, over: CancellationToken) {
        /// What has not been reached by then will not be.
        const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
        const REPORT: Duration = Duration::from_secs(60);
        let _over = over.drop_guard();
        let (begun, mut told) = (Instant::now(), Instant::now());
        loop {
            sleep(Duration::from_millis(100)).await;
            let (operations, kills) = (answers.accepted(), ledger.kills());
            if begun.elapsed() >= self.length && operations >= self.operations && kills >= self.kills {
                return;
            }
            if told.elapsed() >= REPORT {
                told = Instant::now();
                println!("{operations} operations accepted and {kills} replicas killed in {:?}", begun.elapsed());
            }
            if begun.elapsed() >= LONGEST {
                let (enough, of) = (self.operations, self.kills);
                answers.violation(format!("only {operations} operations of {enough}, {kills} kills of {of}"));
                return;
            }
        }
    }
}
