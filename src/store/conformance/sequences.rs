//! Long sequences of intents, made up from a seed, against a model that knows the [table](Life) and nothing else.

use std::sync::Arc;

use http::StatusCode;

use super::{
    Violation,
    stage::{Draft, Stage, durable, operation, owner, reply, report, stranger},
    violation::{Checked, equal, hold, refused},
};
use crate::{
    operation::{Failure, Life, OperationId, Refused, State, Step},
    store::contract::{Attempt, Cancellation, Created, Finished, Part, StoreError},
};

const SEEDS: u64 = 6;
const STEPS: usize = 150;

pub(super) async fn whatever_is_done_in_whatever_order_leads_where_the_table_says(stage: Stage) -> Checked {
    for seed in 1..=SEEDS {
        let mut play = Play { stage: &stage, dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), cast: Vec::new() };
        for step in 0..STEPS {
            play.step().await.map_err(|violation| {
                Violation::new(format!("seed {seed}, step {step}: {violation}; the model: {:?}", play.cast))
            })?;
        }
        play.clear().await?;
    }
    Ok(())
}

/// Numbers that look like chance and are the same each time (xorshift).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }
}

/// What the model knows of an operation.
#[derive(Clone, Debug)]
struct Role {
    id: OperationId,
    draft: Draft,
    life: Life,
    /// The attempt that has reported last, and the number of its report.
    reported: Option<(u32, u64)>,
    body: Option<Vec<u8>>,
    forgotten: bool,
}

impl Role {
    fn max_attempts(&self) -> u32 {
        if self.draft.request.is_some() { self.draft.policy.max_attempts } else { 1 }
    }

    fn step(&self, step: Step) -> Result<Life, Refused> {
        if self.forgotten { Err(Refused::Unknown) } else { self.life.step(step) }
    }
}

struct Play<'a> {
    stage: &'a Stage,
    dice: Dice,
    cast: Vec<Role>,
}

impl Play<'_> {
    async fn step(&mut self) -> Checked {
        let intent = self.dice.below(12);
        if self.cast.is_empty() || intent < 2 {
            return self.create().await;
        }
        // Mostly of the latest ones, so that more than one thing happens to each.
        let recent = self.cast.len().min(4);
        let chosen = self.cast.len() - 1 - self.dice.below(recent);
        match intent {
            2 | 3 => self.claim().await?,
            4 => self.finish(chosen).await?,
            5 | 6 => self.retry(chosen).await?,
            7 => self.hand_back(chosen).await?,
            8 => self.report(chosen).await?,
            9 => self.cancel(chosen).await?,
            10 => self.forget(chosen).await?,
            _ => self.renew().await?,
        }
        self.compare(chosen).await
    }

    async fn create(&mut self) -> Checked {
        let draft = match (self.stage.lease, self.dice.below(3)) {
            (None, _) | (_, 0) => operation().under(self.stage.lease),
            (_, 1) => durable(),
            (lease, _) => durable().under(lease),
        };
        let draft = match self.dice.below(2) {
            0 => draft,
            _ => draft.keyed(self.dice.below(3) as u8, self.dice.below(2) as u8),
        };
        let named = |role: &&Role| {
            let names = role.draft.key.zip(draft.key).map(|(one, other)| one.name == other.name);
            !role.forgotten && names == Some(true)
        };
        let store = self.stage.either(self.dice.below(2));
        let (answer, same) = (store.create(draft.clone().build()).await?, self.cast.iter().find(named));
        match (answer, same) {
            (Created::New { .. }, None) => {
                let life = draft.clone().build().life();
                self.cast.push(Role { id: draft.id, draft, life, reported: None, body: None, forgotten: false });
                self.compare(self.cast.len() - 1).await
            }
            (Created::Existing(found), Some(same)) if same.draft.key == draft.key => {
                equal("what exists", (found.id, found.life), (same.id, same.life))
            }
            (Created::KeyTaken, Some(same)) if same.draft.key != draft.key => Ok(()),
            (answer, same) => Err(Violation::new(format!("create with {:?}: {answer:?}, not {same:?}", draft.key))),
        }
    }

    /// An attempt of the operation, mostly the latest.
    fn attempt(&mut self, chosen: usize) -> Attempt {
        let Role { id, life, .. } = &self.cast[chosen];
        let number = match self.dice.below(4) {
            0 => life.attempt.saturating_sub(1),
            _ => life.attempt,
        };
        Attempt { operation: *id, number }
    }

    async fn finish(&mut self, chosen: usize) -> Checked {
        let attempt = self.attempt(chosen);
        let (status, end) = match self.dice.below(2) {
            0 => (StatusCode::OK, State::Succeeded),
            _ => (StatusCode::CONFLICT, State::Failed),
        };
        let body = self.dice.below(1_000_000).to_string().into_bytes();
        let answer = self.stage.either(self.dice.below(2)).finish(attempt, Arc::new(reply(status, &body))).await;
        let next = self.cast[chosen].step(Step::Finish { attempt: attempt.number, end });
        if agree("finish", answer.map(|finished| Some(finished.state)), next.map(|life| Some(life.state)))? {
            self.cast[chosen].body = Some(body);
        }
        self.take(chosen, next);
        Ok(())
    }

    async fn retry(&mut self, chosen: usize) -> Checked {
        let attempt = self.attempt(chosen);
        let max_attempts = self.cast[chosen].max_attempts();
        let answer = self.stage.either(self.dice.below(2)).retry(attempt, Failure::Panicked).await;
        let next = self.cast[chosen].step(Step::Retry { attempt: attempt.number, max_attempts });
        agree("retry", answer.map(state), next.map(|life| life.state.is_terminal().then_some(life.state)))?;
        self.take(chosen, next);
        Ok(())
    }

    async fn hand_back(&mut self, chosen: usize) -> Checked {
        let attempt = self.attempt(chosen);
        let answer = self.stage.either(self.dice.below(2)).hand_back(attempt).await;
        let step = match &self.cast[chosen].draft.request {
            Some(_) => Step::HandBack { attempt: attempt.number },
            None => Step::Finish { attempt: attempt.number, end: State::Failed },
        };
        let next = self.cast[chosen].step(step);
        agree("hand_back", answer.map(state), next.map(|life| life.state.is_terminal().then_some(life.state)))?;
        self.take(chosen, next);
        Ok(())
    }

    async fn report(&mut self, chosen: usize) -> Checked {
        let attempt = self.attempt(chosen);
        // A later attempt counts on from an earlier one's reports.
        let number = self.cast[chosen].reported.map_or(1, |(_, last)| last + 1);
        let answer = self.stage.either(self.dice.below(2)).report(attempt, report(number)).await;
        let next = self.cast[chosen].step(Step::HandBack { attempt: attempt.number });
        if agree("report", answer, next.map(drop))? {
            self.cast[chosen].reported = Some((attempt.number, number));
        }
        Ok(())
    }

    async fn cancel(&mut self, chosen: usize) -> Checked {
        let role = &self.cast[chosen];
        let foreign = self.dice.below(5) == 0;
        let who = if foreign { stranger() } else { owner() };
        let answer = self.stage.either(self.dice.below(2)).cancel(role.id, Some(&who)).await?;
        let next = if foreign { Err(Refused::Unknown) } else { role.step(Step::Cancel) };
        let agrees = match next {
            Ok(_) => matches!(answer, Cancellation::Canceled(_)),
            Err(Refused::Unknown) => matches!(answer, Cancellation::Unknown),
            Err(_) => matches!(answer, Cancellation::AlreadyEnded),
        };
        hold!(agrees, "cancel: {answer:?}, but the model: {next:?}");
        self.take(chosen, next);
        Ok(())
    }

    async fn forget(&mut self, chosen: usize) -> Checked {
        let role = &mut self.cast[chosen];
        let forgot = self.stage.either(self.dice.below(2)).forget(role.id, Some(&owner())).await?;
        equal("forget", forgot, !role.forgotten && role.life.state.is_terminal())?;
        role.forgotten |= forgot;
        Ok(())
    }

    async fn claim(&mut self) -> Checked {
        let Some(lease) = self.stage.lease else { return Ok(()) };
        let limit = self.dice.below(3);
        let is_queued = |role: &&Role| !role.forgotten && role.life.state == State::Queued;
        let queued = self.cast.iter().filter(is_queued).count();
        let claimed = self.stage.either(self.dice.below(2)).claim(lease, limit).await?;
        equal("how many are claimed", claimed.len(), limit.min(queued))?;
        for claimed in claimed {
            let Attempt { operation, number } = claimed.attempt;
            let role = self.cast.iter_mut().find(|role| role.id == operation);
            let role = role.ok_or_else(|| Violation::new("claimed what nobody has created"))?;
            role.life =
                role.step(Step::Claim).map_err(|error| Violation::new(format!("claimed in spite of: {error}")))?;
            equal("the attempt", number, role.life.attempt)?;
        }
        Ok(())
    }

    async fn renew(&mut self) -> Checked {
        let Some(lease) = self.stage.lease else { return Ok(()) };
        let chosen: Vec<_> = (0..self.cast.len()).filter(|_| self.dice.below(2) == 0).collect();
        let asked: Vec<_> = chosen.into_iter().map(|chosen| (chosen, self.attempt(chosen))).collect();
        let runs = |(chosen, attempt): &(usize, Attempt)| {
            self.cast[*chosen].step(Step::HandBack { attempt: attempt.number }).is_ok()
        };
        let mut expected: Vec<_> = asked.iter().filter(|asked| !runs(asked)).map(|(_, attempt)| *attempt).collect();
        let asked = asked.into_iter().map(|(_, attempt)| attempt).collect();
        let mut named = self.stage.store.renew(lease, asked).await?;
        named.sort();
        expected.sort();
        equal("what no longer runs", named, expected)
    }

    fn take(&mut self, chosen: usize, next: Result<Life, Refused>) {
        let role = &mut self.cast[chosen];
        role.life = next.unwrap_or(role.life);
    }

    /// Expects to read what the model knows.
    async fn compare(&mut self, chosen: usize) -> Checked {
        let role = &self.cast[chosen];
        let found = self.stage.either(self.dice.below(2)).read(role.id, Some(&owner()), Part::Reply).await?;
        let Some(found) = found else { return equal("whether it is forgotten", true, role.forgotten) };
        equal("whether it is forgotten", false, role.forgotten)?;
        equal("its life", found.life, role.life)?;
        if let Some(body) = &role.body {
            equal("its reply", found.end.as_ref().map(|end| end.reply.body()), Some(body.as_slice()))?;
        }
        if role.draft.request.is_some() {
            equal("its failed attempts", found.failed_attempts.len(), role.life.failures as usize)?;
        }
        let end = found.end.map(|end| end.reply.state());
        equal("its end", end, role.life.state.is_terminal().then_some(role.life.state))?;
        match role.reported {
            Some((attempt, number)) if role.life == (Life { state: State::Running, attempt, ..role.life }) => {
                equal("its progress", found.progress, Some(report(number)))
            }
            _ => Ok(()),
        }
    }

    /// Leaves nothing behind for the next play.
    async fn clear(&mut self) -> Checked {
        for chosen in 0..self.cast.len() {
            self.compare(chosen).await?;
            let id = self.cast[chosen].id;
            self.stage.store.cancel(id, Some(&owner())).await?;
            self.stage.store.forget(id, Some(&owner())).await?;
        }
        Ok(())
    }
}

fn state(finished: Option<Finished>) -> Option<State> {
    finished.map(|finished| finished.state)
}

/// Whether the step was taken, on which the store and the model agree.
#[track_caller]
fn agree<T: PartialEq + std::fmt::Debug>(
    what: &str,
    answer: Result<T, StoreError>,
    model: Result<T, Refused>,
) -> Result<bool, Violation> {
    match model {
        Ok(expected) => equal(what, answer?, expected).map(|()| true),
        Err(expected) => refused(what, answer, expected).map(|()| false),
    }
}
