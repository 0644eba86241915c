//! The operations that run in this process.

use std::mem;

use dashmap::DashMap;

use crate::{
    operation::{OperationId, Report, State},
    run::Runner,
    store::{Attempt, TooLate},
};

#[derive(Debug, Default)]
pub(super) struct Runs(DashMap<OperationId, Run>);

#[derive(Debug)]
struct Run {
    number: u32,
    durable: bool,
    /// The store is known to have it.
    stored: bool,
    /// Absent until it has begun.
    runner: Option<Runner>,
    stopped: bool,
    /// The store is being told how it ended.
    ending: bool,
}

impl Runs {
    pub(super) fn expect(&self, Attempt { operation, number }: Attempt, durable: bool) {
        self.0.insert(operation, Run { number, durable, stored: false, runner: None, stopped: false, ending: false });
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

    pub(super) fn stop_operation(&self, id: OperationId, ended: State) -> bool {
        let run = self.0.get_mut(&id).map(|mut run| run.stop(Some(ended)));
        run.is_some()
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
        self.0.iter_mut().filter(|run| run.durable).for_each(|mut run| run.stop(None));
    }

    /// Gives the number of those that were not stopped before.
    pub(super) fn stop_all(&self) -> usize {
        self.0.iter_mut().filter(|run| !run.stopped).map(|mut run| run.stop(None)).count()
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

    pub(super) fn progress(&self, id: OperationId) -> Option<Report> {
        self.0.get(&id)?.runner.as_ref()?.progress()
    }

    pub(super) fn is_durable(&self, attempt: Attempt) -> bool {
        self.0.get(&attempt.operation).is_some_and(|run| run.durable && run.number == attempt.number)
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
    use super::*;

    #[test]
    fn the_store_is_not_asked_for_what_it_does_not_have_yet() {
        let (runs, attempt) = (Runs::default(), Attempt { operation: OperationId::random(), number: 1 });
        runs.expect(attempt, false);
        assert_eq!(runs.attempts(), []);
        runs.stored(Attempt { number: 2, ..attempt });
        assert_eq!(runs.attempts(), []);
        runs.stored(attempt);
        assert_eq!(runs.attempts(), [attempt]);
    }
}
