//! The scripts, each of which is one atomic step in the server.

use std::sync::LazyLock;

use redis::{Cmd, Script};

use super::keys::Keys;

/// A script as it is written, and the name by which the server knows it once it has it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) text: &'static str,
    hash: String,
}

impl Source {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: LazyLock<Source> = LazyLock::new(|| {
            Source::new(concat!(
                include_str!("scripts/prelude.lua"),
                include_str!("scripts/records.lua"),
                include_str!("scripts/queue.lua"),
                include_str!("scripts/pages.lua"),
                include_str!("scripts/life.lua"),
                include_str!(concat!("scripts/", $file)),
            ))
        });
    };
}

script!(WRITE, "write.lua");
script!(CLAIM, "claim.lua");
script!(GIVE_BACK, "give_back.lua");
script!(LEASE, "lease.lua");
script!(CLOSE_LEASE, "close_lease.lua");
script!(SWEEP, "sweep.lua");
script!(LIST, "list.lua");
script!(DRAFT, "draft.lua");

/// Too simple, and too frequent, for the prelude.
static READ: LazyLock<Source> = LazyLock::new(|| Source::new(include_str!("scripts/read.lua")));
/// It knows nothing of operations.
pub(super) static RIGHTS: LazyLock<Source> = LazyLock::new(|| Source::new(include_str!("scripts/rights.lua")));

/// A script with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) script: &'static Source,
    pub(super) command: Cmd,
}

impl Call {
    /// A script that is given all keys, and who makes changes and where they are announced.
    pub(super) fn new(script: &'static Source, keys: &Keys, instance: [u8; 8]) -> Self {
        let call = keys.all.iter().fold(Self::of(script, keys.all.len()), |call, key| call.bytes(key.as_bytes()));
        call.bytes(keys.channel.as_bytes()).bytes(&instance)
    }

    /// The script that reads records.
    pub(super) fn read(keys: &Keys) -> Self {
        Self::of(&READ, 1).bytes(keys.name(Keys::OPERATIONS).as_bytes())
    }

    fn of(script: &'static Source, keys: usize) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&script.hash).arg(keys);
        Self { script, command }
    }

    pub(super) fn bytes(mut self, argument: &[u8]) -> Self {
        self.command.arg(argument);
        self
    }

    pub(super) fn number(mut self, argument: u64) -> Self {
        self.command.arg(argument);
        self
    }
}
