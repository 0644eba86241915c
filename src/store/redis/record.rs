//! Records of operations, as the scripts' prelude lays them out.

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
        let state = state(bytes.number(1)?)?;
        let life = Life { state, attempt: bytes.u32()?, failures: bytes.u32()? };
        let (created, ended, due) = (bytes.time()?, bytes.time()?, bytes.time()?);
        let terms = bytes.take(8)?.try_into().map_err(|_| MALFORMED)?;
        let _size = bytes.u32()?;
        let owner = answer::owner(bytes.counted(4)?)?;
        let _key = bytes.counted(1)?;
        let failed = failed_attempts(bytes.counted(4)?)?;
        let _run = bytes.counted(1)?;
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

    /// As many bytes as the number of this length says that follow.
    fn counted(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(self.number(length)?).map_err(|_| MALFORMED)?;
        self.take(count)
    }
}
