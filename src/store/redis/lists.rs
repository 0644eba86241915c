//! What concerns many operations: lists, counts, sweeps.

use super::{
    Link,
    answer::{Fields, Malformed, id, owner_field, readable},
    bodies::KEPT_FOR,
    keys::Keys,
    record::{Record, failure},
    scripts::{LIST, SWEEP},
    terms::millis,
    writes::failed,
};
use crate::{
    operation::{Ending, Failure, OperationId, Owner, Reply, Timestamp},
    store::{
        StoreError,
        clock::moment_of_asking,
        contract::{Counts, ListFilter, Listed, Part, Snapshot, Swept},
    },
};

/// So many operations are looked at for one part of a list, however few of them are in the state that is asked for.
const LOOKED_AT: u64 = 500;

/// One script sweeps no more of each kind.
const SWEPT_AT_ONCE: usize = 100;

impl Link {
    /// Leaves out what cannot be read.
    pub(super) async fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> Result<Listed, StoreError> {
        let state = filter.state.map_or("", |state| state.as_str());
        let after = filter.after.map(place).unwrap_or_default();
        let call = self.call(&LIST).bytes(&owner_field(Some(owner))).bytes(state.as_bytes()).bytes(&after);
        let call = call.number(limit as u64).number(LOOKED_AT);
        let mut fields = Fields::of(self.connection.script(&call).await?)?;
        let now = fields.time()?;
        let mut listed = Listed { next: next(&fields.bytes()?)?, ..Listed::default() };
        while !fields.is_empty() {
            let (id, record) = (fields.id()?, fields.bytes()?);
            listed.operations.extend(readable(self.listed(id, &record, now).await)?.flatten());
        }
        Ok(listed)
    }

    async fn listed(&self, id: OperationId, record: &[u8], now: Timestamp) -> Result<Option<Snapshot>, StoreError> {
        self.snapshot(id, Record::read(record)?, now, Part::Status).await
    }

    pub(super) async fn counts(&self) -> Result<Counts, StoreError> {
        let names = ["queued", "running", "succeeded", "failed", "canceled", "bytes"];
        let command = redis::Cmd::hmget(self.keys.name(Keys::COUNTS), &names);
        let counts = self.connection.ask::<Vec<Option<i64>>>(&command).await?;
        let count = |place: usize| counts.get(place).copied().flatten().map_or(0, |count| count.max(0).unsigned_abs());
        Ok(Counts {
            queued: count(0),
            running: count(1),
            succeeded: count(2),
            failed: count(3),
            canceled: count(4),
            reply_bytes: count(5),
        })
    }

    pub(super) async fn sweep(&self, limit: usize) -> Result<Swept, StoreError> {
        let (mut swept, mut left) = (Swept::default(), limit);
        let moment = moment_of_asking(self.now()).await?;
        loop {
            let some = left.min(SWEPT_AT_ONCE);
            self.sweep_some(some, moment, &mut swept).await?;
            left -= some;
            if !swept.more || left == 0 {
                return Ok(swept);
            }
        }
    }

    /// The time of a server; in a cluster maybe of another than the store's.
    async fn now(&self) -> Result<Timestamp, StoreError> {
        let (seconds, micros): (u64, u64) = self.connection.ask(&redis::cmd("TIME")).await?;
        Ok(Timestamp::from_millis(seconds * 1_000 + micros / 1_000))
    }

    /// Sweeps no more than a script may; leases are judged by this moment.
    async fn sweep_some(&self, limit: usize, moment: Timestamp, swept: &mut Swept) -> Result<(), StoreError> {
        let call = self.call(&SWEEP).number(limit as u64);
        let call = call.bytes(&failed(Failure::TimedOut)).bytes(&failed(Failure::Lost)).number(millis(KEPT_FOR));
        let call = call.number(moment.as_millis());
        let mut fields = Fields::of(self.connection.write(&call).await?)?;
        let (mut expired, mut ended, mut queued) = (fields.fields()?, fields.fields()?, fields.fields()?);
        while !expired.is_empty() {
            swept.expired.push(expired.id()?);
        }
        while !queued.is_empty() {
            swept.queued.push(queued.id()?);
        }
        while !ended.is_empty() {
            let mut one = ended.fields()?;
            let (id, failure) = (one.id()?, failure(&one.text()?)?);
            let (_, finished) = Fields::verdict(one.next().ok_or(Malformed("answer"))?)?;
            let reply = Reply::none(Ending::Failed(failure));
            swept.ended.extend(readable(self.finished(finished, &reply).await)?.map(|end| (id, end)));
        }
        swept.more = fields.number()? > 0;
        Ok(())
    }
}

/// Where in its owner's list an operation is.
fn place((created, id): (Timestamp, OperationId)) -> Vec<u8> {
    let [_, _, time @ ..] = created.as_millis().to_be_bytes();
    [time.as_slice(), &id.to_bytes()].concat()
}

fn next(place: &[u8]) -> Result<Option<(Timestamp, OperationId)>, Malformed> {
    let Some(([a, b, c, d, e, f], rest)) = place.split_first_chunk() else { return Ok(None) };
    let created = u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]);
    Ok(Some((Timestamp::from_millis(created), id(rest)?)))
}
