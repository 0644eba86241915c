//! What can happen to operations.

use proptest::{
    bool,
    prelude::*,
    sample::{Index, select},
};

use crate::{
    BUDGET, MAX_RUN_TIME, RETENTION,
    life::{Name, STATES},
};

#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// A client sends a request; without patience its budget is zero.
    Submit {
        owner: Name,
        patient: bool,
    },
    /// Something happens to one of the requests that are not gone.
    Act {
        which: Index,
        act: Act,
    },
    List {
        asker: Name,
        state: Option<&'static str>,
    },
    Sleep {
        millis: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// The handler answers.
    Reply {
        status: u16,
    },
    /// The handler panics.
    Panic,
    /// The client goes away, if it is still in line.
    HangUp,
    Delete {
        asker: Asker,
    },
    Poll {
        asker: Asker,
    },
    Result {
        asker: Asker,
    },
    /// Until one millisecond before it expires, and then until it does.
    SleepToExpiry,
}

/// Who asks for an operation: most often who may.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    Owner,
    Other,
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let state = proptest::option::of(select(STATES.to_vec()));
    let millis = select(vec![1, BUDGET - 1, BUDGET, 250, 1_000, MAX_RUN_TIME - 1, MAX_RUN_TIME, RETENTION]);
    prop_oneof![
        6 => (owner(), bool::ANY).prop_map(|(owner, patient)| Command::Submit { owner, patient }),
        12 => (any::<Index>(), act()).prop_map(|(which, act)| Command::Act { which, act }),
        1 => (owner(), state).prop_map(|(asker, state)| Command::List { asker, state }),
        4 => millis.prop_map(|millis| Command::Sleep { millis }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => select(vec![200, 201, 204, 303, 404, 500]).prop_map(|status| Act::Reply { status }),
        1 => Just(Act::Panic),
        1 => Just(Act::HangUp),
        3 => asker().prop_map(|asker| Act::Delete { asker }),
        2 => asker().prop_map(|asker| Act::Poll { asker }),
        2 => asker().prop_map(|asker| Act::Result { asker }),
        1 => Just(Act::SleepToExpiry),
    ]
}

fn owner() -> impl Strategy<Value = Name> {
    prop_oneof![Just(None), Just(Some("ann")), Just(Some("bob"))]
}

fn asker() -> impl Strategy<Value = Asker> {
    prop_oneof![4 => Just(Asker::Owner), 1 => Just(Asker::Other)]
}
