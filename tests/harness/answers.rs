//! What the clients were answered: what was accepted, and how it was seen to end.

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicUsize},
};

use serde_json::Value;
use uuid::Uuid;

use crate::{dice::Dice, ledger::Moment, order::Order};

/// An order that was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) order: Order,
    id: Uuid,
    /// When it was asked for.
    pub(crate) at: Moment,
}

/// Where operations are found.
const BASE: &str = "/operations/";

impl Acknowledged {
    pub(crate) fn location(&self) -> String {
        format!("{BASE}{}", self.id)
    }
}

/// An operation's state, as the monitor tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) error: Option<String>,
}

impl State {
    pub(crate) fn is_terminal(&self) -> bool {
        !matches!(&*self.name, "queued" | "running")
    }

    pub(crate) fn of(document: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(document).ok()?;
        let error = document["error"]["code"].as_str().map(str::to_owned);
        Some(Self { name: document["status"].as_str()?.to_owned(), error })
    }
}

/// Some bytes for each operation are all that is kept.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    acknowledged: Mutex<Vec<Acknowledged>>,
    ids: Mutex<HashMap<usize, Uuid>>,
    ends: Mutex<HashMap<usize, State>>,
    pub(crate) in_line: AtomicUsize,
    pub(crate) turned_away: AtomicUsize,
    pub(crate) unanswered: AtomicUsize,
    pub(crate) violations: Mutex<Vec<String>>,
}

impl Answers {
    pub(crate) fn violation(&self, what: String) {
        eprintln!("{what}");
        self.violations.lock().unwrap().push(what);
    }

    /// The order was answered 202, maybe not for the first time.
    pub(crate) fn accept(&self, order: Order, location: &str, at: Moment) -> Option<Acknowledged> {
        let Some(id) = location.strip_prefix(BASE).and_then(|id| id.parse().ok()) else {
            self.violation(format!("{}: is said to be at {location}", order.payload()));
            return None;
        };
        let accepted = Acknowledged { order, id, at };
        match self.ids.lock().unwrap().insert(order.number, id) {
            None => self.acknowledged.lock().unwrap().push(accepted),
            Some(other) if other == id => {}
            Some(other) => self.violation(format!("{}: is two operations, {other} and {id}", order.payload())),
        }
        Some(accepted)
    }

    /// How many operations were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// One of what was accepted, in the order in which it was.
    pub(crate) fn nth(&self, number: usize) -> Option<Acknowledged> {
        self.acknowledged.lock().unwrap().get(number).copied()
    }

    /// Any, and the latest more often than others.
    pub(crate) fn any(&self, dice: &mut Dice) -> Option<Acknowledged> {
        let acknowledged = self.acknowledged.lock().unwrap();
        let last = acknowledged.len().checked_sub(1)?;
        let back = if dice.one_in(2) { dice.below(last.min(2) + 1) } else { dice.below(last + 1) };
        acknowledged.get(last - back).copied()
    }

    /// How it was seen to end.
    pub(crate) fn end_of(&self, one: &Acknowledged) -> Option<State> {
        self.ends.lock().unwrap().get(&one.order.number).cloned()
    }

    /// Its state was seen. What had ended before somebody looked stays as it was; of several ends all are the same.
    pub(crate) fn saw(&self, one: &Acknowledged, before: Option<State>, state: &State) {
        let mut ends = self.ends.lock().unwrap();
        let ended = if state.is_terminal() { ends.get(&one.order.number).cloned() } else { before };
        if ended.as_ref().is_some_and(|ended| ended != state) {
            self.violation(format!("{} at {}: was {ended:?}, is {state:?}", one.order.payload(), one.location()));
        } else if ended.is_none() && state.is_terminal() {
            ends.insert(one.order.number, state.clone());
        }
    }

    /// How many were seen to end while things went wrong.
    pub(crate) fn seen_to_end(&self) -> usize {
        self.ends.lock().unwrap().len()
    }
}
