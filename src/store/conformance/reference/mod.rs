//! A store that is right because it is simple: everything in one place, one at a time. And wrong ones, made of it.

mod creation;
mod flaw;
mod kept;
mod sweeping;

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

pub(super) use flaw::Flaw;
use kept::{Kept, Operation};
use tokio::time::sleep;

use crate::{
    operation::{Ending, Failure, Life, OperationId, Owner, Reply, Report, State, Step, Timestamp},
    store::Clock,
    store::{
        StoreError, StoreFuture,
        contract::{
            Attempt, Cancellation, Change, Claimed, Counts, Created, Finished, LeaseId, ListFilter, Listed, Listener,
            NewOperation, OpenLease, Part, Snapshot, Store, Swept,
        },
    },
};

pub(super) struct Reference {
    kept: Arc<Mutex<Kept>>,
    clock: Clock,
    flaw: Flaw,
    listeners: Mutex<Vec<Listener>>,
}

impl Debug for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reference").field("flaw", &self.flaw).finish_non_exhaustive()
    }
}

impl Reference {
    pub(super) fn with(flaw: Flaw) -> Arc<Self> {
        let (kept, listeners) = (Arc::default(), Mutex::default());
        Arc::new(Self { kept, clock: Clock::new(), flaw, listeners })
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Does this alone, and at once.
    fn alone<T>(&self, work: impl FnOnce(&mut Kept, Timestamp) -> Result<T, StoreError>) -> StoreFuture<T> {
        let mut kept = self.kept.lock().unwrap();
        StoreFuture::ready(work(&mut kept, self.clock.now()))
    }

    fn finish_in_two_steps(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        let (kept, clock) = (Arc::clone(&self.kept), self.clock);
        StoreFuture::pending(async move {
            kept.lock().unwrap().runs(attempt, clock.now())?.life.state = reply.state();
            sleep(Duration::from_millis(1)).await;
            Ok(kept
                .lock()
                .unwrap()
                .known(attempt.operation, clock.now())?
                .end(Arc::into_inner(reply).unwrap(), clock.now()))
        })
    }

    fn owns(&self, operation: &Operation, owner: Option<&Owner>) -> bool {
        if self.has(Flaw::CutsOwners) {
            let cut = |owner: Option<&Owner>| owner.map(|owner| owner.as_str().split('\0').next().map(str::to_owned));
            return cut(operation.owner.as_ref()) == cut(owner);
        }
        self.has(Flaw::ShowsStrangers) || operation.owner.as_ref() == owner
    }

    /// As a store does that looks and acts in two steps.
    fn dawdle(&self, flaw: Flaw) {
        if self.has(flaw) {
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn tell(&self, change: Change) {
        if !self.has(Flaw::SaysNothing) {
            self.listeners.lock().unwrap().iter().for_each(|listener| listener(change));
        }
    }
}

impl Store for Reference {
    fn create(&self, operation: NewOperation) -> StoreFuture<Created> {
        let looked = self.alone(|kept, now| Ok(kept.taken(&operation, now, self.flaw)));
        self.dawdle(Flaw::CreatesAfterLooking);
        let created = self.alone(|kept, now| {
            if self.has(Flaw::AsksForTheLeaseFirst) {
                operation.lease.map_or(Ok(()), |lease| kept.require(lease, now))?;
            }
            let taken = match self.has(Flaw::CreatesAfterLooking) {
                true => looked.now().unwrap()?,
                false => kept.taken(&operation, now, self.flaw),
            };
            match taken {
                Some(taken) => Ok(taken),
                None => Ok(kept.create(operation, now)?),
            }
        });
        self.tell(Change::Queued);
        created
    }

    fn read(&self, id: OperationId, owner: Option<&Owner>, _: Part) -> StoreFuture<Option<Snapshot>> {
        self.alone(|kept, now| {
            let found = kept.operations.get(&id).filter(|found| self.owns(found, owner));
            let shown = found.filter(|found| self.has(Flaw::ShowsWhatHasExpired) || !found.is_expired(now));
            Ok(shown.map(|found| found.snapshot(id, now)))
        })
    }

    fn finish(&self, attempt: Attempt, reply: Arc<Reply>) -> StoreFuture<Finished> {
        if self.has(Flaw::FinishIsNotAtomic) {
            let looked = self.alone(|kept, now| Ok(kept.runs(attempt, now).map(drop)?)).now().unwrap();
            self.dawdle(Flaw::FinishIsNotAtomic);
            if let Err(refused) = looked {
                return StoreFuture::ready(Err(refused));
            }
        }
        if self.has(Flaw::TellsTheStateBeforeTheReply) {
            return self.finish_in_two_steps(attempt, reply);
        }
        let finished = self.alone(|kept, now| {
            let unfenced = self.has(Flaw::FinishIsNotAtomic)
                || self.has(Flaw::FinishIsNotFenced) && !kept.known(attempt.operation, now)?.life.state.is_terminal();
            let found = if unfenced { kept.known(attempt.operation, now)? } else { kept.runs(attempt, now)? };
            Ok(found.end(Arc::into_inner(reply).unwrap(), now))
        });
        self.tell(Change::Operation(attempt.operation));
        finished
    }

    fn cancel(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<Cancellation> {
        let canceled = self.alone(|kept, now| match kept.known(id, now) {
            Ok(found) if self.owns(found, owner) => Ok(match found.life.step(Step::Cancel) {
                Ok(_) => Cancellation::Canceled(found.end(Reply::none(Ending::Canceled), now)),
                Err(_) => Cancellation::AlreadyEnded,
            }),
            _ => Ok(Cancellation::Unknown),
        });
        self.tell(Change::Operation(id));
        canceled
    }

    fn forget(&self, id: OperationId, owner: Option<&Owner>) -> StoreFuture<bool> {
        self.alone(|kept, now| {
            let ended =
                kept.known(id, now).is_ok_and(|found| self.owns(found, owner) && found.life.state.is_terminal());
            Ok(ended && kept.operations.remove(&id).is_some())
        })
    }

    fn list(&self, owner: &Owner, filter: ListFilter, limit: usize) -> StoreFuture<Listed> {
        self.alone(|kept, now| {
            let owned =
                kept.operations.iter().filter(|(_, found)| self.owns(found, Some(owner)) && !found.is_expired(now));
            let mut places: Vec<_> = owned.map(|(id, found)| (found.created, *id)).collect();
            places.sort_by(|one, other| other.cmp(one));
            let after = |place: &(Timestamp, OperationId)| match self.has(Flaw::RepeatsInLists) {
                true => filter.after.is_none_or(|(after, _)| place.0 <= after),
                false => filter.after.is_none_or(|after| *place < after),
            };
            let mut listed = Listed::default();
            for (created, id) in places.into_iter().filter(after) {
                if listed.operations.len() == limit {
                    listed.next = listed.operations.last().map(|last: &Snapshot| (last.created, last.id));
                    break;
                }
                let found = &kept.operations[&id];
                debug_assert_eq!(found.created, created);
                if filter.state.is_none_or(|state| found.life.state == state) {
                    listed.operations.push(found.snapshot(id, now));
                }
            }
            Ok(listed)
        })
    }

    fn report(&self, attempt: Attempt, report: Report) -> StoreFuture<()> {
        let reported = self.alone(|kept, now| {
            let found = kept.runs(attempt, now)?;
            let later = found.progress.as_ref().is_none_or(|before| before.number < report.number);
            if later || self.has(Flaw::TakesAnyReport) {
                found.progress = Some(report);
            }
            Ok(())
        });
        self.tell(Change::Operation(attempt.operation));
        reported
    }

    fn open_lease(&self, length: Duration, running: Vec<Attempt>) -> StoreFuture<OpenLease> {
        self.alone(|kept, now| {
            kept.opened += 1;
            let id = LeaseId(kept.opened);
            kept.leases.insert(id, (length, now.after(length)));
            let lost = kept.no_longer_run(&running, now);
            for attempt in running {
                if let Ok(found) = kept.runs(attempt, now) {
                    found.lease = if self.has(Flaw::LeavesLeasesBehind) { found.lease.or(Some(id)) } else { Some(id) };
                }
            }
            Ok(OpenLease { id, lost })
        })
    }

    fn renew(&self, lease: LeaseId, running: Vec<Attempt>) -> StoreFuture<Vec<Attempt>> {
        self.alone(|kept, now| {
            if !(self.has(Flaw::RenewsWhatIsOver) && kept.leases.contains_key(&lease)) {
                kept.require(lease, now)?;
            }
            if let Some((length, until)) = kept.leases.get_mut(&lease) {
                *until = now.after(*length);
            }
            for attempt in &running {
                if let Ok(found) = kept.runs(*attempt, now) {
                    found.lease = if self.has(Flaw::RenewsLeasesAlone) { found.lease } else { Some(lease) };
                }
            }
            Ok(kept.no_longer_run(&running, now))
        })
    }

    fn close_lease(&self, lease: LeaseId) -> StoreFuture<()> {
        self.alone(|kept, _| {
            kept.leases.remove(&lease);
            Ok(())
        })
    }

    fn claim(&self, lease: LeaseId, limit: usize) -> StoreFuture<Vec<Claimed>> {
        let looked = self.alone(|kept, now| Ok(kept.next(now, self.flaw))).now().unwrap().unwrap();
        self.dawdle(Flaw::ClaimsAfterLooking);
        self.alone(|kept, now| {
            kept.require(lease, now)?;
            let mut claimed = Vec::new();
            while claimed.len() < limit {
                let next = match self.has(Flaw::ClaimsAfterLooking) {
                    true if claimed.is_empty() => looked,
                    _ => kept.next(now, self.flaw),
                };
                let Some(id) = next else { break };
                let Some(found) = kept.operations.get_mut(&id) else { break };
                let (Some(request), number) = (found.request.clone(), found.life.attempt + 1) else { break };
                found.life = Life { state: State::Running, attempt: number, ..found.life };
                found.lease = Some(lease);
                found.since = now;
                let (owner, terms) = (found.owner.clone(), Arc::clone(&found.terms));
                let attempt = Attempt { operation: id, number };
                claimed.push(Claimed { attempt, owner, terms, created: found.created, request });
            }
            Ok(claimed)
        })
    }

    fn retry(&self, attempt: Attempt, failure: Failure) -> StoreFuture<Option<Finished>> {
        self.alone(|kept, now| Ok(kept.runs(attempt, now)?.retry(attempt.number, failure, now, self.flaw)?))
    }

    fn hand_back(&self, attempt: Attempt) -> StoreFuture<Option<Finished>> {
        self.alone(|kept, now| {
            let found = kept.runs(attempt, now)?;
            if found.request.is_none() {
                return Ok(Some(found.end(Reply::none(Ending::Failed(Failure::Interrupted)), now)));
            }
            found.life = found.life.step(Step::HandBack { attempt: attempt.number })?;
            found.life.failures += u32::from(self.has(Flaw::CountsHandingBack));
            (found.lease, found.since) = (None, now);
            Ok(None)
        })
    }

    fn sweep(&self, limit: usize) -> StoreFuture<Swept> {
        self.alone(|kept, now| Ok(kept.sweep(limit, now, self.flaw)?))
    }

    fn counts(&self) -> StoreFuture<Counts> {
        self.alone(|kept, now| Ok(kept.counts(now, self.flaw)))
    }

    fn announce_to(&self, listener: Listener) {
        self.listeners.lock().unwrap().push(listener);
    }
}
