//! Records of operations, as `scripts/records.lua` lays them out.

use super::{
    answer::{self, Malformed},
    terms::Digest,
};
use crate::operation::{Failure, Life, Owner, Progress, Report, State, Timestamp};
use crate::store::contract::FailedAttempt;

/// An operation as the server keeps it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) life: Life,
    pub(super) created: Timestamp,
    pub(super) ended: Timestamp,
    due: Timestamp,
    pub(super) terms: Digest,
    pub(super) owner: Option<Owner>,
    pub(super) failed: Vec<FailedAttempt>,
    /// The progress of what has not ended, the reply of what has.
    pub(super) rest: Vec<u8>,
}

impl Record {
    pub(super) fn read(record: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes(record);
        let head = bytes.number(1)?;
        let state = state(head & STATE)?;
        let created = bytes.time()?;
        let terms = bytes.take(8)?.try_into().map_err(|_| MALFORMED)?;
        let (attempt, failures) = if head & RAN_AGAIN > 0 { (bytes.u32()?, bytes.u32()?) } else { (1, 0) };
        let (mut ended, mut due) = (Timestamp::from_millis(0), Timestamp::from_millis(0));
        if state.is_terminal() {
            (ended, due) = (bytes.time()?, bytes.time()?);
            let _size = bytes.u32()?;
        } else {
            let _run = bytes.take(RUN)?;
        }
        let owner = if head & HAS_OWNER > 0 { answer::owner(bytes.name()?)? } else { None };
        let _key = if head & HAS_KEY > 0 { bytes.counted(1)? } else { &[] };
        let failed = if head & HAS_FAILED > 0 { failed_attempts(bytes.counted(4)?)? } else { Vec::new() };
        let life = Life { state, attempt, failures };
        Ok(Self { life, created, ended, due, terms, owner, failed, rest: bytes.0.to_vec() })
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.life.state.is_terminal() && self.due <= now
    }

    pub(super) fn progress(&self) -> Result<Option<Report>, Malformed> {
        if self.life.state.is_terminal() || self.rest.is_empty() {
            return Ok(None);
        }
        let mut bytes = Bytes(&self.rest);
        let (number, fraction) = (bytes.number(8)?, f64::from_bits(bytes.number(8)?));
        let message = std::str::from_utf8(bytes.0).map_err(|_| MALFORMED)?;
        Ok(Some(Report { number, progress: Progress::new(fraction).message(message.to_owned()) }))
    }
}

/// A report as a record keeps it.
pub(super) fn progress(report: &Report) -> Vec<u8> {
    let Report { number, progress } = report;
    let fraction = progress.fraction().to_bits().to_be_bytes();
    [&number.to_be_bytes(), &fraction, progress.text().as_bytes()].concat()
}

/// A state as the scripts have it.
pub(super) fn state_number(state: State) -> u64 {
    match state {
        State::Queued => 0,
        State::Running => 1,
        State::Succeeded => 2,
        State::Failed => 3,
        State::Canceled => 4,
    }
}

fn state(number: u64) -> Result<State, Malformed> {
    [State::Queued, State::Running, State::Succeeded, State::Failed, State::Canceled]
        .into_iter()
        .find(|state| state_number(*state) == number)
        .ok_or(MALFORMED)
}

fn failed_attempts(packed: &[u8]) -> Result<Vec<FailedAttempt>, Malformed> {
    let (mut bytes, mut failed) = (Bytes(packed), Vec::new());
    while !bytes.0.is_empty() {
        let (number, at) = (bytes.u32()?, bytes.time()?);
        let name = std::str::from_utf8(bytes.counted(1)?).map_err(|_| MALFORMED)?;
        failed.push(FailedAttempt { number, failure: failure(name)?, at });
    }
    Ok(failed)
}

pub(super) fn failure(name: &str) -> Result<Failure, Malformed> {
    Failure::named(name).ok_or(Malformed("failure"))
}

/// What the first byte of a record holds: the state, and which of what follows there is.
const STATE: u64 = 7;
const HAS_OWNER: u64 = 8;
const HAS_KEY: u64 = 16;
const HAS_FAILED: u64 = 32;
const RAN_AGAIN: u64 = 64;

/// What is known of a run: its lease, its place in the queue, its claim, whether its request is in pieces.
const RUN: usize = 8 + 8 + 4 + 1;

/// In place of the length of a name that is as long as this, or longer; then it follows.
const LONG: u64 = 255;

const MALFORMED: Malformed = Malformed("record");

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, length: usize) -> Result<u64, Malformed> {
        Ok(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number(4)?).map_err(|_| MALFORMED)
    }

    fn time(&mut self) -> Result<Timestamp, Malformed> {
        self.number(6).map(Timestamp::from_millis)
    }

    fn name(&mut self) -> Result<&'a [u8], Malformed> {
        match self.number(1)? {
            LONG => self.counted(4),
            short => self.take(short as usize),
        }
    }

    /// As many bytes as the number of this length says that follow.
    fn counted(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(self.number(length)?).map_err(|_| MALFORMED)?;
        self.take(count)
    }
}
