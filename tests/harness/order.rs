//! What the clients ask for.

use hmac_sha256::Hash;

use crate::{course::Load, dice::Dice};

/// Work that is asked for. Its number makes it unlike any other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) number: usize,
    pub(crate) is_durable: bool,
    pub(crate) is_keyed: bool,
    pub(crate) prefers_async: bool,
    pub(crate) milliseconds: u64,
}

impl Order {
    pub(crate) fn new(number: usize, load: Load, dice: &mut Dice) -> Self {
        let (is_durable, is_keyed) = (!dice.one_in(3), dice.one_in(3));
        let (prefers_async, milliseconds) = match load {
            Load::Light => (dice.one_in(3), dice.below(2_500)),
            Load::Heavy if dice.one_in(20) => (dice.one_in(3), dice.below(2_500)),
            // Longer than what is answered in line although it need not be.
            Load::Heavy => (true, 100 + dice.below(100)),
        };
        Self { number, is_durable, is_keyed, prefers_async, milliseconds: milliseconds as u64 }
    }

    /// The request's body, its key where it has one, and its name in the journal.
    pub(crate) fn payload(&self) -> String {
        let kind = match (self.is_durable, self.is_keyed) {
            (true, true) => "keyed-job",
            (true, false) => "job",
            (false, true) => "keyed-report",
            (false, false) => "report",
        };
        format!("{kind}-{}", self.number)
    }

    /// The number in a payload, and whether that is durable.
    pub(crate) fn named(payload: &str) -> Option<(usize, bool)> {
        let (kind, number) = payload.rsplit_once('-')?;
        Some((number.parse().ok()?, kind.ends_with("job")))
    }

    /// The reply that belongs to it.
    pub(crate) fn reply(&self) -> String {
        let rounds = self.milliseconds.div_ceil(10);
        let first = Hash::hash(self.payload().as_bytes());
        let fingerprint = (0..rounds).fold(first, |fingerprint, _| Hash::hash(&fingerprint));
        let hexadecimal: String = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        hexadecimal + "\n"
    }
}
