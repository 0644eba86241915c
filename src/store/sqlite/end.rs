//! What becomes of operations otherwise than by a reply: steps along the table of a [`Life`].

use std::sync::Arc;

use super::{
    super::{
        StoreError,
        contract::{Attempt, Cancellation, FailedAttempt, Finished},
    },
    batch::{Batch, Write},
    finish::Ended,
    kept::{Kept, bytes, millis, name, select, state_number, write_failed},
};
use crate::operation::{Ending, Failure, Life, OperationId, Owner, Refused, Reply, Report, State, Step};

#[derive(Debug)]
pub(super) struct Cancel(pub(super) OperationId, pub(super) Option<Owner>);

impl Write for Cancel {
    type Answer = Cancellation;

    async fn write(&self, batch: &mut Batch) -> Result<Cancellation, StoreError> {
        let owned = sqlx::query(select!("WHERE id = ? AND owner IS ? AND (state < 2 OR due > ?)"))
            .bind(bytes(self.0))
            .bind(name(self.1.as_ref()))
            .bind(millis(batch.now));
        let Some(row) = batch.one(owned).await? else { return Ok(Cancellation::Unknown) };
        let kept = Kept::of(&row)?;
        match kept.snapshot.life.step(Step::Cancel) {
            Ok(life) => {
                let canceled = Ended::of(kept, life, Reply::none(Ending::Canceled));
                Ok(Cancellation::Canceled(batch.end(canceled).await?))
            }
            Err(_ended) => Ok(Cancellation::AlreadyEnded),
        }
    }
}

#[derive(Debug)]
pub(super) struct Forget(pub(super) OperationId, pub(super) Option<Owner>);

impl Write for Forget {
    type Answer = bool;

    async fn write(&self, batch: &mut Batch) -> Result<bool, StoreError> {
        let forget = sqlx::query("DELETE FROM operations WHERE id = ? AND owner IS ? AND state >= 2 AND due > ?")
            .bind(bytes(self.0))
            .bind(name(self.1.as_ref()))
            .bind(millis(batch.now));
        Ok(batch.execute(forget).await? > 0)
    }
}

#[derive(Debug)]
pub(super) struct Tell(pub(super) Attempt, pub(super) Report);

impl Write for Tell {
    type Answer = ();

    async fn write(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let Self(attempt, report) = self;
        let kept = batch.attempted(*attempt).await?;
        kept.snapshot.life.step(Step::HandBack { attempt: attempt.number })?;
        let tell = sqlx::query(
            "UPDATE operations SET report = ?2, fraction = ?3, message = ?4 \
             WHERE number = ?1 AND state = 1 AND attempt = ?5 AND ifnull(report, 0) < ?2",
        )
        .bind(kept.number)
        .bind(report.number.cast_signed())
        .bind(report.progress.fraction())
        .bind(report.progress.text().to_owned())
        .bind(i64::from(attempt.number));
        batch.execute(tell).await?;
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Retry(pub(super) Attempt, pub(super) Failure);

impl Write for Retry {
    type Answer = Option<Finished>;

    async fn write(&self, batch: &mut Batch) -> Result<Option<Finished>, StoreError> {
        let kept = batch.attempted(self.0).await?;
        batch.retry(kept, self.0, self.1).await
    }
}

#[derive(Debug)]
pub(super) struct HandBack(pub(super) Attempt);

impl Write for HandBack {
    type Answer = Option<Finished>;

    async fn write(&self, batch: &mut Batch) -> Result<Option<Finished>, StoreError> {
        let kept = batch.attempted(self.0).await?;
        if kept.lane.is_none() {
            let life = kept.snapshot.life.step(Step::Finish { attempt: self.0.number, end: State::Failed })?;
            let interrupted = Reply::none(Ending::Failed(Failure::Interrupted));
            return batch.end(Ended::of(kept, life, interrupted)).await.map(Some);
        }
        let life = kept.snapshot.life.step(Step::HandBack { attempt: self.0.number })?;
        batch.queue(&kept, life, None, None).await?;
        Ok(None)
    }
}

impl Batch {
    /// The operation of this attempt, if it is still kept.
    async fn attempted(&mut self, attempt: Attempt) -> Result<Kept, StoreError> {
        let found = self.find(&[attempt.operation]).await?;
        Kept::of(found.get(&attempt.operation).ok_or(Refused::Unknown)?)
    }

    /// Ends what has run for too long.
    pub(super) async fn time_out(&mut self, kept: Kept) -> Result<Finished, StoreError> {
        let life = kept.snapshot.life.step(Step::TimeOut { attempt: kept.snapshot.life.attempt })?;
        self.end(Ended::of(kept, life, Reply::none(Ending::Failed(Failure::TimedOut)))).await
    }

    /// Queues what can be run again, and ends what cannot.
    pub(super) async fn retry(
        &mut self,
        kept: Kept,
        attempt: Attempt,
        failure: Failure,
    ) -> Result<Option<Finished>, StoreError> {
        let terms = &kept.snapshot.terms;
        let max_attempts = if kept.lane.is_some() { terms.max_attempts() } else { 0 };
        let life = kept.snapshot.life.step(Step::Retry { attempt: attempt.number, max_attempts })?;
        let mut failed = kept.snapshot.failed_attempts.clone();
        failed.push(FailedAttempt { number: attempt.number, failure, at: self.now });
        let failed = Some(write_failed(&failed));
        if life.state == State::Failed {
            let reply = Arc::new(Reply::none(Ending::Failed(failure)));
            return self.end(Ended { kept, life, reply, failed }).await.map(Some);
        }
        let rested = millis(self.now.after(terms.backoff(life.failures)));
        self.queue(&kept, life, Some(rested), failed).await?;
        Ok(None)
    }

    /// What was reported goes with the attempt that reported it.
    async fn queue(
        &mut self,
        kept: &Kept,
        life: Life,
        rested: Option<i64>,
        failed: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let queue = sqlx::query(
            "UPDATE operations SET state = 0, failures = ?4, lease = NULL, due = ?5, failed = ifnull(?6, failed), \
             report = NULL, fraction = NULL, message = NULL \
             WHERE number = ?1 AND state = ?2 AND attempt = ?3",
        );
        let queue = queue
            .bind(kept.number)
            .bind(state_number(kept.snapshot.life.state))
            .bind(i64::from(kept.snapshot.life.attempt))
            .bind(i64::from(life.failures))
            .bind(rested)
            .bind(failed);
        self.execute(queue).await?;
        Ok(())
    }
}
