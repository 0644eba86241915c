//! Which calls may become operations: those of unary methods whose type of reply is known, where a policy holds for them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use foldhash::fast::FixedState;
use http::{Method, Request};
use prost::Name;
use tonic::server::NamedService;
use tracing::warn;

use super::caller::{self, Caller};
use crate::{
    layer::{
        Route,
        candidate::Candidate,
        service::is_under_way,
        speech::Speech,
        submission::{Noted, Patience},
    },
    longrunning::{LongRunning, Method as Described, Methods, messages::Operation},
    policy::{OnDisconnect, Policy, Table, Terms, is_method_path},
};

/// The methods whose calls may become operations, by their paths; without a route those whose replies are operations
/// already. Nothing is added that a client has named, so the hash need not be secret.
#[derive(Clone, Debug, Default)]
pub(in crate::layer) struct Calls(HashMap<Arc<str>, Option<Arc<Route>>, FixedState>);

impl Calls {
    /// The methods of these paths, with the types of their replies.
    pub(in crate::layer) fn listed<'a>(
        table: &Table<Arc<Route>>,
        methods: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>,
    ) -> Self {
        let mut calls = Self::default();
        for (path, response_type) in methods {
            calls.add(table, Arc::clone(path), response_type);
        }
        calls
    }

    /// Adds the method at this path, on the terms that the table has for it. What is known of it already stays.
    fn add(&mut self, table: &Table<Arc<Route>>, path: Arc<str>, response_type: &Arc<str>) {
        let (Some(route), Entry::Vacant(free)) = (table.find(&Method::POST, &path), self.0.entry(path)) else { return };
        if replies_with_operations(free.key(), response_type) {
            free.insert(None);
            return;
        }
        let history = route.hub.history(free.key());
        let terms = Terms::new(Arc::clone(free.key()), typed(&route.terms.policy, response_type)).with_history(history);
        let hub = Arc::clone(&route.hub);
        free.insert(Some(Arc::new(Route { hub, terms: Arc::new(terms) })));
    }

    /// Adds the unary methods of which descriptor sets tell, and warns of those that are listed by their paths and stay in
    /// line all the same.
    pub(in crate::layer) fn add_described(&mut self, table: &Table<Arc<Route>>, methods: &Methods) {
        for (path, method) in methods.iter() {
            match method {
                Described::Streaming => drop(self.0.remove(path)),
                Described::Unary { response_type } => {
                    self.remove_unlike(path, response_type);
                    self.add(table, path.into(), response_type);
                }
            }
        }
        for path in table.literals() {
            if let Some(reason) = self.reason_to_pass(path, methods) {
                warn!(route = &**path, "calls stay in line: {reason}");
            }
        }
    }

    /// Forgets what a policy says of the method, where that is not so.
    fn remove_unlike(&mut self, path: &str, described: &Arc<str>) {
        let known =
            self.0.get(path).and_then(Option::as_ref).and_then(|route| route.terms.policy.response_type.as_ref());
        if let Some(configured) = known.filter(|configured| *configured != described) {
            warn!(route = path, %configured, %described, "the type of the method's replies is another than its policy says");
            self.0.remove(path);
        }
    }

    /// Why the calls of a method that is listed by its path pass untouched, if they do.
    fn reason_to_pass(&self, path: &str, methods: &Methods) -> Option<&'static str> {
        match (self.0.get(path), methods.get(path)) {
            (Some(Some(_)), _) => None,
            (Some(None), _) => Some("the method's replies are operations already"),
            (None, Some(Described::Streaming)) => Some("the method is a streaming one"),
            (None, Some(Described::Unary { .. })) => Some("the method is unary, and no policy here takes POST"),
            (None, None) => is_meant_for_grpc(path, methods).then_some("the type of the method's replies is unknown"),
        }
    }

    /// The route of calls of the method that a request of this method and path would be for.
    #[inline]
    pub(in crate::layer) fn find(&self, method: &Method, path: &str) -> Option<&Arc<Route>> {
        if self.0.is_empty() || method != Method::POST {
            return None;
        }
        self.0.get(path)?.as_ref()
    }
}

/// Whether the method's replies are operations without the layer, so that an operation of it could not be told apart from
/// one that it replies with.
fn replies_with_operations(path: &str, response_type: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
    service == Some(LongRunning::NAME) || response_type == Operation::full_name()
}

/// What is to be known of a call that may become an operation. `None` where nothing could make it one.
pub(in crate::layer) fn candidate<B>(listed: &Arc<Route>, noted: Noted, call: &Request<B>) -> Option<Candidate> {
    let own;
    let route = match call.extensions().get::<Policy>() {
        None => listed,
        Some(policy) if policy.takes(&Method::POST) => {
            own = overridden(listed, policy)?;
            &own
        }
        Some(_) => return None,
    };
    let patience = caller::patience(&route.terms.policy, noted, call.headers());
    if !may_detach(route, noted, patience) || is_under_way(route, call) {
        return None;
    }
    let speech = Speech::Grpc(Caller::of(patience, call.headers()));
    Some(Candidate { route: Arc::clone(route), noted, patience, speech })
}

/// The route under the policy that one call carries.
fn overridden(listed: &Route, policy: &Policy) -> Option<Arc<Route>> {
    let policy = typed(policy, listed.terms.policy.response_type.as_ref()?);
    Some(Arc::new(Route { hub: Arc::clone(&listed.hub), terms: Arc::new(listed.terms.with_policy(policy)) }))
}

fn typed(policy: &Policy, response_type: &Arc<str>) -> Policy {
    Policy { response_type: Some(Arc::clone(response_type)), ..policy.clone() }
}

/// Whether anything can make the call an operation, or its handler is to have a handle.
fn may_detach(Route { hub, terms }: &Route, noted: Noted, patience: Patience) -> bool {
    let policy = &terms.policy;
    patience.budget.is_some()
        || policy.handle
        || policy.on_disconnect == OnDisconnect::Detach
        || (noted.is_keyed && policy.honor_idempotency_key)
        || (policy.is_durable && hub.is_shared() && !hub.has_room())
}

/// Whether the path is listed for a gRPC method: one of a known service, or with a package.
fn is_meant_for_grpc(path: &str, methods: &Methods) -> bool {
    let service = path.rsplit_once('/').map_or(path, |(service, _)| service);
    let is_known = || methods.iter().any(|(path, _)| path.rsplit_once('/').is_some_and(|(known, _)| known == service));
    is_method_path(path) && (service.contains('.') || is_known())
}
