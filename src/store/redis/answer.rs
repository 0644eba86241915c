//! What the scripts answer.

use std::vec;

use redis::Value;

use crate::{
    operation::{OperationId, Owner, Refused, State, Timestamp},
    store::{StoreError, redis::connection::unavailable},
};

/// What came is not what the scripts write.
#[derive(Debug, thiserror::Error)]
#[error("malformed {0}")]
pub(super) struct Malformed(pub(super) &'static str);

impl From<Malformed> for StoreError {
    fn from(malformed: Malformed) -> Self {
        Self::Unreadable(Box::new(malformed))
    }
}

/// What could be read: what this release cannot read is no reason to go without the rest.
pub(super) fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Unreadable(error)) => {
            tracing::warn!(%error, "an operation cannot be read by this release");
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// A script could not do this.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

/// The fields of an answer, one after the other.
#[derive(Debug)]
pub(super) struct Fields(vec::IntoIter<Value>);

impl Fields {
    pub(super) fn of(answer: Value) -> Result<Self, Malformed> {
        match answer {
            Value::Array(fields) => Ok(Self(fields.into_iter())),
            _ => Err(Malformed("answer")),
        }
    }

    /// An answer that begins with what it is: this, or an error, which is returned as such.
    pub(super) fn verdict(answer: Value) -> Result<(String, Self), StoreError> {
        let mut fields = Self::of(answer)?;
        let verdict = fields.text()?;
        Err(match &*verdict {
            "unknown" => Refused::Unknown.into(),
            "ended" => Refused::Ended(fields.state()?).into(),
            "superseded" => Refused::Superseded { latest: fields.attempt()? }.into(),
            "lease-over" => Refused::LeaseOver.into(),
            "error" => unavailable(Failed(fields.text()?)),
            _ => return Ok((verdict, fields)),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    pub(super) fn next(&mut self) -> Option<Value> {
        self.0.next()
    }

    pub(super) fn fields(&mut self) -> Result<Self, Malformed> {
        Self::of(self.next().ok_or(Malformed("answer"))?)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        match self.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes),
            _ => Err(Malformed("answer")),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?).map_err(|_| Malformed("text"))
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        match self.next() {
            Some(Value::Int(number)) => u64::try_from(number).map_err(|_| Malformed("number")),
            _ => Err(Malformed("number")),
        }
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Malformed> {
        self.number().map(Timestamp::from_millis)
    }

    pub(super) fn attempt(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed("attempt"))
    }

    pub(super) fn state(&mut self) -> Result<State, Malformed> {
        State::named(&self.text()?).ok_or(Malformed("state"))
    }

    pub(super) fn id(&mut self) -> Result<OperationId, Malformed> {
        id(&self.bytes()?)
    }

    pub(super) fn digest(&mut self) -> Result<[u8; 8], Malformed> {
        self.bytes()?.try_into().map_err(|_| Malformed("digest"))
    }

    pub(super) fn owner(&mut self) -> Result<Option<Owner>, Malformed> {
        owner(&self.bytes()?)
    }

    /// The clock's answer.
    pub(super) fn clock(&mut self) -> Result<Timestamp, Malformed> {
        let mut clock = self.fields()?;
        let mut part = || clock.text()?.parse::<u64>().map_err(|_| Malformed("time"));
        Ok(Timestamp::from_millis(part()? * 1_000 + part()? / 1_000))
    }
}

pub(super) fn id(bytes: &[u8]) -> Result<OperationId, Malformed> {
    bytes.try_into().map(OperationId::from_bytes).map_err(|_| Malformed("id"))
}

/// Nothing for nobody, since an owner may well have the empty name.
pub(super) fn owner_field(owner: Option<&Owner>) -> Vec<u8> {
    owner.map_or_else(Vec::new, |owner| [b"=", owner.as_str().as_bytes()].concat())
}

pub(super) fn owner(field: &[u8]) -> Result<Option<Owner>, Malformed> {
    let Some((_, name)) = field.split_first() else { return Ok(None) };
    std::str::from_utf8(name).map(|name| Some(Owner::new(name))).map_err(|_| Malformed("owner"))
}
