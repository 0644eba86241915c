//! How far the operations are that run here, told to the store every now and then, so that other replicas can say it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::debug;

use super::Shared;
use crate::operation::OperationId;

const PERIOD: Duration = Duration::from_secs(1);

impl Shared {
    /// Only the latest report of each is told; what cannot be told is told with the next.
    pub(super) async fn keep_reporting(self: Arc<Self>) {
        let mut told: HashMap<OperationId, u64> = HashMap::new();
        while self.closing.run_until_cancelled(sleep(PERIOD)).await.is_some() {
            let reports = self.runs.reports();
            told.retain(|id, _| reports.iter().any(|(attempt, _)| attempt.operation == *id));
            for (attempt, report) in reports {
                if told.insert(attempt.operation, report.number) == Some(report.number) {
                    continue;
                }
                if let Err(error) = self.store.report(attempt, report).await {
                    debug!(operation.id = %attempt.operation, error = &error as &dyn std::error::Error, "progress not told");
                    told.remove(&attempt.operation);
                }
            }
        }
    }
}
