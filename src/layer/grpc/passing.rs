//! What is listed as if for gRPC methods, and whose calls pass untouched all the same: start-up says so.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use http::Method;
use tracing::warn;

use super::calls::{Calls, Known};
use crate::{
    layer::Route,
    policy::{Table, is_full_name, is_method_path},
};

/// The patterns, each with the reason why calls pass it.
#[derive(Debug, Default)]
pub(in crate::layer) struct Passing {
    reasons: Vec<(Arc<str>, &'static str)>,
    has_told: AtomicBool,
    has_met_unknown: AtomicBool,
}

impl Passing {
    pub(in crate::layer) fn of(table: &Table<Arc<Route>>, calls: &Calls) -> Self {
        let reason = |pattern: &Arc<str>| Some((Arc::clone(pattern), reason(table, calls, pattern)?));
        Self { reasons: table.patterns().filter_map(reason).collect(), ..Self::default() }
    }

    /// Warns of them, once: a router may apply a layer to each of its routes.
    pub(in crate::layer) fn warn(&self) {
        if self.has_told.swap(true, Relaxed) {
            return;
        }
        for (route, reason) in &self.reasons {
            warn!(route = &**route, "calls stay in line: {reason}");
        }
    }

    /// A client has asked for an operation that it will not get: of a method that is not listed there is no other sign.
    /// Warns of the first that is unknown.
    pub(in crate::layer) fn has_asked(&self, calls: &Calls, path: &str) {
        if calls.get(path).is_none() && !self.has_met_unknown.swap(true, Relaxed) {
            warn!(path, "a call that prefers an operation stays in line, as may others: its method is unknown here");
        }
    }
}

/// Why calls pass what the pattern lists, if they do.
fn reason(table: &Table<Arc<Route>>, calls: &Calls, pattern: &str) -> Option<&'static str> {
    match calls.get(pattern) {
        Some(Known::Candidate(_)) => None,
        Some(Known::Operations) => Some("the method's replies are operations already"),
        Some(Known::Streaming) => Some("the method is a streaming one"),
        None if !is_meant_for_calls(calls, pattern) => None,
        None if !is_method_path(pattern) => Some("the types of its methods' replies are unknown"),
        None if table.find(&Method::POST, pattern).is_none() => Some("no policy here takes POST"),
        None => Some("the type of the method's replies is unknown"),
    }
}

/// Whether it is listed for methods: for one of a service that is known or has a package, or for all of a service that
/// is not known and has a package.
fn is_meant_for_calls(calls: &Calls, pattern: &str) -> bool {
    let Some((service, method)) = pattern.strip_prefix('/').and_then(|names| names.split_once('/')) else {
        return false;
    };
    let is_known =
        || calls.paths().any(|path| path[1..].strip_prefix(service).is_some_and(|rest| rest.starts_with('/')));
    let has_package = service.contains('.') && is_full_name(service);
    if method.contains('{') {
        has_package && !is_known()
    } else {
        is_method_path(pattern) && (has_package || is_known())
    }
}
