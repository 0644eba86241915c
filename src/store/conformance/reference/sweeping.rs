//! What time makes due, and how much there is.

use super::{Flaw, kept::Kept};
use crate::{
    operation::{Ending, Failure, Refused, Reply, State, Timestamp},
    store::contract::{Counts, Swept},
};

impl Kept {
    pub(super) fn sweep(&mut self, limit: usize, now: Timestamp, flaw: Flaw) -> Result<Swept, Refused> {
        let Self { operations, leases, .. } = self;
        let mut swept = Swept::default();
        let expired = operations.iter().filter(|(_, found)| found.is_expired(now)).map(|(id, _)| *id);
        swept.expired = expired.take(limit).collect();
        swept.more = swept.expired.len() == limit;
        swept.expired.iter().for_each(|id| drop(operations.remove(id)));
        let (mut overdue, mut lapsed) = (0, 0);
        for (id, found) in operations.iter_mut().filter(|(_, found)| found.life.state == State::Running) {
            let attempt = found.life.attempt;
            if found.terms.max_run_time().is_some_and(|longest| found.since.after(longest) <= now) {
                overdue += 1;
                if overdue <= limit {
                    swept.ended.push((*id, found.end(Reply::none(Ending::Failed(Failure::TimedOut)), now)));
                }
            } else if found.lease.is_some_and(|lease| leases.get(&lease).is_none_or(|(_, until)| *until <= now)) {
                lapsed += 1;
                if lapsed <= limit {
                    match found.retry(attempt, Failure::Lost, now, flaw)? {
                        Some(finished) => swept.ended.push((*id, finished)),
                        None => swept.queued.push(*id),
                    }
                }
            }
        }
        swept.more |= overdue > limit || lapsed > limit;
        swept.more &= flaw != Flaw::StopsSweepingTooSoon;
        Ok(swept)
    }

    pub(super) fn counts(&self, now: Timestamp, flaw: Flaw) -> Counts {
        let mut counts = Counts::default();
        for found in self.operations.values().filter(|found| !found.is_expired(now)) {
            *match found.life.state {
                State::Queued => &mut counts.queued,
                State::Running => &mut counts.running,
                State::Succeeded => &mut counts.succeeded,
                State::Failed => &mut counts.failed,
                State::Canceled => &mut counts.canceled,
            } += 1;
            let bytes = found.end.as_ref().map_or(0, |end| end.reply.size());
            counts.reply_bytes += if flaw == Flaw::CountsNothing { 0 } else { bytes as u64 };
        }
        counts
    }
}
