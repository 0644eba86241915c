//! How far the operations are that run here, told to the store every now and then, so that other replicas can say it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};
use tracing::debug;

use super::Shared;
use crate::{operation::Report, store::Attempt};

const PERIOD: Duration = Duration::from_secs(1);

/// How many reports are on their way at once: the stores write what comes together in one go.
const AT_ONCE: usize = 256;

impl Shared {
    /// Only the latest report of each is told; what cannot be told is told with the next.
    pub(super) async fn keep_reporting(self: Arc<Self>) {
        let mut told = HashMap::new();
        loop {
            sleep(PERIOD).await;
            told = self.report(&told).await;
        }
    }

    /// Tells what is not told. Gives the numbers of the reports that are.
    async fn report(self: &Arc<Self>, told: &HashMap<Attempt, u64>) -> HashMap<Attempt, u64> {
        let (reports, mut telling, mut failed) = (self.runs.reports(), JoinSet::new(), Vec::new());
        let mut now: HashMap<_, _> = reports.iter().map(|(attempt, report)| (*attempt, report.number)).collect();
        for (attempt, report) in reports {
            if told.get(&attempt) == Some(&report.number) {
                continue;
            }
            if telling.len() == AT_ONCE {
                failed.extend(telling.join_next().await);
            }
            telling.spawn(Arc::clone(self).tell_report(attempt, report));
        }
        while let Some(answer) = telling.join_next().await {
            failed.push(answer);
        }
        for attempt in failed.into_iter().flatten().flatten() {
            now.remove(&attempt);
        }
        now
    }

    /// Gives the attempt back where it could not be told.
    async fn tell_report(self: Arc<Self>, attempt: Attempt, report: Report) -> Option<Attempt> {
        let error = self.ask(|| self.store.report(attempt, report)).await.err()?;
        debug!(operation.id = %attempt.operation, error = &error as &dyn std::error::Error, "progress not told");
        Some(attempt)
    }
}
