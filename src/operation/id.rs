//! The name of an operation: 122 random bits, written as a UUID.

use std::{fmt, hash, str::FromStr};

use uuid::Uuid;

/// The length of an [`OperationId`] in text.
pub(crate) const TEXT_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

/// The name of an operation: a version 4 UUID (RFC 9562), so that knowing one id tells nothing of another.
///
/// It has one spelling only, lower case with hyphens; other spellings of the same UUID are not parsed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationId(Uuid);

impl OperationId {
    /// Of no operation.
    pub(crate) const NIL: Self = Self(Uuid::nil());

    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id as 16 bytes, for stores that keep it so.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The id that [`to_bytes`](Self::to_bytes) gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Writes the id into `buffer` and returns it as text.
    pub(crate) fn encode(self, buffer: &mut [u8; TEXT_LENGTH]) -> &str {
        self.0.as_hyphenated().encode_lower(buffer)
    }

    fn halves(self) -> (u64, u64) {
        self.0.as_u64_pair()
    }

    /// Random bits for whoever needs to spread something over the operations.
    pub(crate) fn noise(self) -> u32 {
        self.halves().1 as u32
    }
}

/// The bits are random already, so hashing only has to fold them; the version and variant bits, which are the same in
/// every id, must not end up alone in the bits that choose a shard.
impl hash::Hash for OperationId {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        let (high, low) = self.halves();
        state.write_u64(low ^ high.rotate_left(32));
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.encode(&mut [0; TEXT_LENGTH]))
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for OperationId {
    type Err = ParseOperationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.len() == TEXT_LENGTH && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match Uuid::try_parse(text) {
            Ok(uuid) if canonical => Ok(Self(uuid)),
            _ => Err(ParseOperationIdError),
        }
    }
}

/// The text is not an [`OperationId`] in its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an operation id: expected a lower-case UUID with hyphens")]
pub struct ParseOperationIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let id = OperationId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), TEXT_LENGTH);
    }

    #[test]
    fn bytes_round_trip() {
        let id = OperationId::random();
        assert_eq!(OperationId::from_bytes(id.to_bytes()), id);
        let text = "0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";
        assert_eq!(
            OperationId::from_bytes(0x0b5a4d0e_7d5c_4f0a_9a35_3f8f6ec1c1aa_u128.to_be_bytes()).to_string(),
            text
        );
    }

    #[test]
    fn only_the_one_spelling_is_parsed() {
        let id = "0b5a4d0e-7d5c-4f0a-9a35-3f8f6ec1c1aa";
        assert!(id.parse::<OperationId>().is_ok());
        for other in [
            id.to_uppercase(),
            id.replace('-', ""),
            format!("{{{id}}}"),
            format!("urn:uuid:{id}"),
            format!("{id} "),
            id[1..].to_owned(),
            String::new(),
        ] {
            assert_eq!(other.parse::<OperationId>(), Err(ParseOperationIdError), "{other}");
        }
    }

    #[test]
    fn r10_ids_carry_122_random_bits() {
        let (mut ones, mut zeros) = (0_u128, 0_u128);
        for _ in 0..1_000 {
            let bits = OperationId::random().0.as_u128();
            ones |= bits;
            zeros |= !bits;
        }
        assert_eq!((ones & zeros).count_ones(), 122);
    }
}
