//! What can be wrong with a table of routes, said for every route at once.

use std::fmt;

use matchit::InsertError;

use super::methods::MethodSet;

/// All that is wrong with a table of routes, in the order of the routes. It is shown one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutesErrors(Vec<RouteError>);

impl RoutesErrors {
    pub(super) fn none_or(errors: Vec<RouteError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// Each error, in the order of the routes.
    pub fn iter(&self) -> std::slice::Iter<'_, RouteError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a RoutesErrors {
    type Item = &'a RouteError;
    type IntoIter = std::slice::Iter<'a, RouteError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for RoutesErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for RoutesErrors {}

/// What is wrong with one route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("routes[{position}], {pattern:?}: {fault}")]
pub struct RouteError {
    pub(super) position: usize,
    pub(super) pattern: String,
    pub(super) fault: RouteFault,
}

impl RouteError {
    /// The place of the route in the table, counted from 0.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The path pattern of the route, as given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RouteFault {
    #[error("a path starts with \"/\"")]
    NoLeadingSlash,
    #[error("a parameter is written {{{name}}}, not :{name}")]
    ColonParameter { name: String },
    #[error("the rest of a path is written {{*{name}}}, not *{name}")]
    StarParameter { name: String },
    #[error("a parameter needs a name between matching braces, such as {{id}}")]
    InvalidParameter,
    #[error("a segment has at most one parameter, and nothing after it")]
    CrowdedSegment,
    #[error("a parameter for the rest of the path stands at the end")]
    MisplacedRest,
    #[error("the path conflicts with {with:?}")]
    Conflict { with: String },
    #[error("the path is refused: {0}")]
    Refused(InsertError),
    #[error("the policy holds for no method")]
    NoMethods,
    #[error("{methods} {} already listed for this path in routes[{with}]", is_or_are(methods))]
    SameMethods { methods: MethodSet, with: usize },
}

impl From<InsertError> for RouteFault {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Conflict { with } => Self::Conflict { with },
            InsertError::InvalidParam => Self::InvalidParameter,
            InsertError::InvalidParamSegment => Self::CrowdedSegment,
            InsertError::InvalidCatchAll => Self::MisplacedRest,
            other => Self::Refused(other),
        }
    }
}

fn is_or_are(methods: &MethodSet) -> &'static str {
    if methods.iter().nth(1).is_some() { "are" } else { "is" }
}
