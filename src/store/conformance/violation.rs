//! How a store breaks the contract.

use std::{error::Error, fmt, panic::Location};

use crate::{operation::Refused, store::StoreError};

/// What a check comes to.
pub(super) type Checked = Result<(), Violation>;

/// How a store breaks the contract.
pub struct Violation {
    message: String,
    at: &'static Location<'static>,
}

impl Violation {
    #[track_caller]
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Location::caller() }
    }
}

/// Where a store fails that has no reason to.
impl From<StoreError> for Violation {
    #[track_caller]
    fn from(error: StoreError) -> Self {
        let mut message = format!("the store failed: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(message)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}:{})", self.message, self.at.file(), self.at.line())
    }
}

// As a test that returns it prints it.
impl fmt::Debug for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Error for Violation {}

/// The checks that a store fails.
pub struct Violations(Vec<(&'static str, Violation)>);

impl Violations {
    pub(super) fn none_of(violations: Vec<(&'static str, Violation)>) -> Result<(), Self> {
        if violations.is_empty() { Ok(()) } else { Err(Self(violations)) }
    }

    /// The names of the checks, and how the store fails each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Violation)> {
        self.0.iter().map(|(name, violation)| (*name, violation))
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the store breaks its contract:")?;
        self.iter().try_for_each(|(name, violation)| write!(formatter, "\n- {name}: {violation}"))
    }
}

impl fmt::Debug for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Error for Violations {}

/// Returns a [`Violation`] unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::store::conformance::Violation::new(format!($($message)+)));
        }
    };
}
pub(super) use hold;

/// Says what is not as it should be.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "most of what is compared was made for it")]
pub(super) fn equal<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Checked {
    match found == expected {
        true => Ok(()),
        false => Err(Violation::new(format!("{what}: expected {expected:?}, found {found:?}"))),
    }
}

/// Says so where something was not refused, or for another reason.
#[track_caller]
pub(super) fn refused<T: fmt::Debug>(what: &str, answer: Result<T, StoreError>, expected: Refused) -> Checked {
    match answer {
        Err(StoreError::Refused(refused)) if refused == expected => Ok(()),
        answer => Err(Violation::new(format!("{what}: expected a refusal, {expected:?}; found {answer:?}"))),
    }
}
