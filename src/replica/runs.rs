//! The operations that run in this process.

use std::mem;

use dashmap::{DashMap, Entry};

use crate::{
    operation::{OperationId, Report, State},
    policy::Terms,
    run::Runner,
    store::{Attempt, TooLate},
};

/// What becomes of an operation one of whose attempts has failed, or died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It was detached, and has no other attempt.
    Detached,
    /// Any replica may run it again; after a failure, too, where its policy says so.
    Durable { is_retried: bool },
}

impl Durability {
    /// That of an operation on these terms.
    pub(crate) fn of(is_durable: bool, terms: &Terms) -> Self {
        if is_durable { Self::Durable { is_retried: terms.max_attempts() > 1 } } else { Self::Detached }
    }
}

/// What comes of stopping whatever runs of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The attempt of this number has been told to stop.
    Begun { attempt: u32 },
    /// What ran here had come to its end.
    Over,
    /// If anything runs, it is elsewhere.
    Elsewhere,
}

#[derive(Debug, Default)]
pub(super) struct Runs(DashMap<OperationId, Run>);

#[derive(Debug)]
struct Run {
    number: u32,
    durability: Durability,
    /// The store is known to have it.
    stored: bool,
    /// Absent until it has begun.
    runner: Option<Runner>,
    stopped: bool,
    /// The store is being told how it ended.
    ending: bool,
}

impl Runs {
    /// Whether no later attempt is known of. Where one is, this one has been taken away, and is not to run.
    pub(super) fn expect(&self, Attempt { operation, number }: Attempt, durability: Durability) -> bool {
        let run = Run { number, durability, stored: false, runner: None, stopped: false, ending: false };
        match self.0.entry(operation) {
            Entry::Occupied(there) if there.get().number > number => return false,
            // It may not have heard yet that it has been taken away.
            Entry::Occupied(mut earlier) => earlier.insert(run).stop(None),
            Entry::Vacant(place) => _ = place.insert(run),
        }
        true
    }

    pub(super) fn stored(&self, attempt: Attempt) {
        if let Some(mut run) = self.0.get_mut(&attempt.operation).filter(|run| run.number == attempt.number) {
            run.stored = true;
        }
    }

    pub(super) fn attach(&self, attempt: Attempt, runner: Runner) -> Result<(), TooLate> {
        match self.0.get_mut(&attempt.operation) {
            Some(mut run) if run.number == attempt.number && !run.stopped => {
                run.runner = Some(runner);
                Ok(())
            }
            _ => Err(TooLate { runner, state: None }),
        }
    }

    /// Gives back what has run it.
    pub(super) fn remove(&self, attempt: Attempt) -> Option<Runner> {
        let (_, run) = self.0.remove_if(&attempt.operation, |_, run| run.number == attempt.number)?;
        run.runner
    }

    pub(super) fn stop(&self, attempt: Attempt) {
        if let Some(mut run) = self.0.get_mut(&attempt.operation).filter(|run| run.number == attempt.number) {
            run.stop(None);
        }
    }

    pub(super) fn stop_operation(&self, id: OperationId, ended: State) -> Stop {
        let Some(mut run) = self.0.get_mut(&id) else { return Stop::Elsewhere };
        run.stop(Some(ended));
        if run.ending { Stop::Over } else { Stop::Begun { attempt: run.number } }
    }

    /// Whether the run has not ended before.
    pub(super) fn end(&self, attempt: Attempt) -> bool {
        let run = self.0.get_mut(&attempt.operation).filter(|run| run.number == attempt.number);
        run.is_none_or(|mut run| !mem::replace(&mut run.ending, true))
    }

    /// Those that the store knows of, and whose end has not come.
    pub(super) fn endless(&self) -> Vec<Attempt> {
        let endless = self.0.iter().filter(|run| run.stored && !run.ending);
        endless.map(|run| Attempt { operation: *run.key(), number: run.number }).collect()
    }

    pub(super) fn number(&self) -> usize {
        self.0.len()
    }

    /// Stops what any replica may run again. It ends as interrupted, and so is handed back once the store is there.
    pub(super) fn stop_durable(&self) {
        let durable = self.0.iter_mut().filter(|run| run.durability != Durability::Detached);
        durable.for_each(|mut run| run.stop(None));
    }

    /// Gives the number of those that were not stopped before, nor had come to their end.
    pub(super) fn stop_all(&self) -> usize {
        self.0.iter_mut().filter(|run| !run.stopped && !run.ending).map(|mut run| run.stop(None)).count()
    }

    /// Those that the store knows of: one that is only being created would count as lost there.
    pub(super) fn attempts(&self) -> Vec<Attempt> {
        let stored = self.0.iter().filter(|run| run.stored);
        stored.map(|run| Attempt { operation: *run.key(), number: run.number }).collect()
    }

    /// All that may be in the store, or come there.
    pub(super) fn expected(&self) -> Vec<Attempt> {
        self.0.iter().map(|run| Attempt { operation: *run.key(), number: run.number }).collect()
    }

    /// How far the runs are that have said so.
    pub(super) fn reports(&self) -> Vec<(Attempt, Report)> {
        let report = |operation, run: &Run| {
            let report = run.runner.as_ref()?.progress()?;
            Some((Attempt { operation, number: run.number }, report))
        };
        self.0.iter().filter_map(|run| report(*run.key(), &run)).collect()
    }

    pub(super) fn progress(&self, attempt: Attempt) -> Option<Report> {
        let run = self.0.get(&attempt.operation).filter(|run| run.number == attempt.number)?;
        run.runner.as_ref()?.progress()
    }

    pub(super) fn durability(&self, attempt: Attempt) -> Durability {
        let run = self.0.get(&attempt.operation).filter(|run| run.number == attempt.number);
        run.map_or(Durability::Detached, |run| run.durability)
    }
}

impl Run {
    fn stop(&mut self, ended: Option<State>) {
        self.stopped = true;
        if let Some(runner) = &self.runner {
            runner.ended(ended);
            runner.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::run::OperationHandle;

    const DURABLE: Durability = Durability::Durable { is_retried: true };

    #[test]
    fn the_store_is_not_asked_for_what_it_does_not_have_yet() {
        let (runs, attempt) = (Runs::default(), Attempt { operation: OperationId::random(), number: 1 });
        runs.expect(attempt, Durability::Detached);
        assert_eq!(runs.attempts(), []);
        runs.stored(Attempt { number: 2, ..attempt });
        assert_eq!(runs.attempts(), []);
        runs.stored(attempt);
        assert_eq!(runs.attempts(), [attempt]);
    }

    #[tokio::test]
    async fn what_has_come_to_its_end_is_not_waited_for() {
        let (runs, attempt) = (Runs::default(), Attempt { operation: OperationId::random(), number: 2 });
        assert_eq!(runs.stop_operation(attempt.operation, State::Canceled), Stop::Elsewhere);
        runs.expect(attempt, DURABLE);
        assert_eq!(runs.stop_operation(attempt.operation, State::Canceled), Stop::Begun { attempt: 2 });
        assert!(runs.end(attempt));
        assert_eq!(runs.stop_operation(attempt.operation, State::Canceled), Stop::Over);
    }

    #[tokio::test]
    async fn the_next_attempt_ends_the_one_before() {
        let (runs, first) = (Runs::default(), Attempt { operation: OperationId::random(), number: 1 });
        runs.expect(first, DURABLE);
        let task = tokio::spawn(std::future::pending::<()>());
        runs.attach(first, Runner::new(task.abort_handle(), None)).unwrap();
        let second = Attempt { number: 2, ..first };
        runs.expect(second, DURABLE);
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(runs.attach(first, Runner::new(tokio::spawn(async {}).abort_handle(), None)).is_err());
        assert_eq!(runs.expected(), [second]);
    }

    #[tokio::test]
    async fn an_attempt_that_comes_late_does_not_end_the_next_one() {
        let (runs, second) = (Runs::default(), Attempt { operation: OperationId::random(), number: 2 });
        assert!(runs.expect(second, DURABLE));
        let task = tokio::spawn(std::future::pending::<()>());
        let runner = task.abort_handle();
        runs.attach(second, Runner::new(task.abort_handle(), None)).unwrap();
        assert!(!runs.expect(Attempt { number: 1, ..second }, DURABLE));
        assert_eq!(runs.expected(), [second]);
        tokio::task::yield_now().await;
        assert!(!runner.is_finished());
    }

    #[test]
    fn what_an_earlier_attempt_has_said_is_not_how_far_the_next_one_is() {
        let (runs, handle) = (Runs::default(), OperationHandle::new(Arc::default()));
        let attempt = |number| Attempt { operation: handle.id(), number };
        runs.expect(attempt(1), DURABLE);
        handle.set_progress(0.5);
        assert!(runs.attach(attempt(1), Runner::Handle(handle.clone())).is_ok());
        assert!(runs.progress(attempt(1)).is_some());
        assert_eq!(runs.progress(attempt(2)), None);
    }
}
