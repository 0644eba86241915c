//! What can be wrong with a table of routes, said for every route at once.

use std::fmt;
#[cfg(feature = "grpc")]
use std::sync::Arc;

use matchit::InsertError;

#[cfg(feature = "grpc")]
use super::protobuf_names::{is_full_name, is_method_path};
use super::{Policy, methods::MethodSet};

/// All that is wrong with a table of routes: with its default policy, then with the routes in their order. It is shown
/// one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutesErrors(Vec<RouteError>);

impl RoutesErrors {
    pub(super) fn none_or(errors: Vec<RouteError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// Each error.
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

/// One thing that is wrong with a route or with the default policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct RouteError {
    pub(super) place: RoutePlace,
    pub(super) fault: RouteFault,
}

impl RouteError {
    /// The place of the route in the table, counted from 0. `None`: it is the default policy.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        match &self.place {
            RoutePlace::Default => None,
            RoutePlace::Listed { position, .. } => Some(*position),
        }
    }

    /// The path pattern of the route, as given. `None`: it is the default policy.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        match &self.place {
            RoutePlace::Default => None,
            RoutePlace::Listed { pattern, .. } => Some(pattern),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RoutePlace {
    Default,
    Listed { position: usize, pattern: String },
}

impl fmt::Display for RoutePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default policy"),
            Self::Listed { position, pattern } => write!(f, "routes[{position}], {pattern:?}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RouteFault {
    #[error("a path starts with \"/\"")]
    NoLeadingSlash,
    #[error("no path has {character:?} in it")]
    InNoPath { character: char },
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
    #[error("{rule} must be more than zero")]
    Zero { rule: &'static str },
    #[cfg(feature = "grpc")]
    #[error("response_type is the name of a message such as \"renders.v1.Picture\", not {name:?}")]
    NoMessageType { name: Arc<str> },
    #[cfg(feature = "grpc")]
    #[error("response_type is for the path of one gRPC method, such as \"/renders.v1.Renders/Render\"")]
    NoMethodPath,
    #[error("{methods} {} already listed for this path in routes[{with}]", is_or_are(methods))]
    SameMethods { methods: MethodSet, with: usize },
}

impl RouteFault {
    /// What is wrong with a policy, whatever it is for: under it every operation would be lost.
    pub(super) fn all_of(policy: &Policy) -> impl Iterator<Item = Self> + use<> {
        let zero = [
            ("max_run_time", policy.max_run_time.is_some_and(|longest| longest.is_zero())),
            ("retention", policy.retention.is_zero()),
            ("max_attempts", policy.max_attempts == 0),
            ("max_reply", policy.max_reply == 0),
        ];
        let zero = zero.into_iter().filter(|(_, is_zero)| *is_zero).map(|(rule, _)| Self::Zero { rule });
        policy.methods.is_empty().then_some(Self::NoMethods).into_iter().chain(zero)
    }

    /// What is wrong with a policy for this pattern; `None`: for every path.
    #[cfg(feature = "grpc")]
    pub(super) fn of_place(policy: &Policy, pattern: Option<&str>) -> impl Iterator<Item = Self> + use<> {
        let name = policy.response_type.as_ref();
        let misplaced = name.is_some() && !pattern.is_some_and(is_method_path);
        let nameless =
            name.filter(|name| !is_full_name(name)).map(|name| Self::NoMessageType { name: Arc::clone(name) });
        misplaced.then_some(Self::NoMethodPath).into_iter().chain(nameless)
    }

    /// What is wrong with a policy for this pattern: nothing more than with the policy.
    #[cfg(not(feature = "grpc"))]
    pub(super) fn of_place(_: &Policy, _: Option<&str>) -> impl Iterator<Item = Self> + use<> {
        std::iter::empty()
    }
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
