//! Which calls may become operations: those of unary methods whose type of reply is known, where a policy holds for
//! them.

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
    policy::{OnDisconnect, Policy, Table, Terms},
};

/// The methods that are known, by their paths. Nothing is added that a client has named, so the hash need not be
/// secret.
#[derive(Clone, Debug, Default)]
pub(in crate::layer) struct Calls(HashMap<Arc<str>, Known, FixedState>);

/// What is known of a method.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// Its calls may become operations, on these terms.
    Candidate(Arc<Route>),
    /// Its replies are operations already.
    Operations,
    /// Either side is a stream.
    Streaming,
}

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
            free.insert(Known::Operations);
            return;
        }
        let history = route.hub.history(free.key());
        let terms = Terms::new(Arc::clone(free.key()), typed(&route.terms.policy, response_type)).with_history(history);
        let hub = Arc::clone(&route.hub);
        free.insert(Known::Candidate(Arc::new(Route { hub, terms: Arc::new(terms) })));
    }

    /// Adds the methods of which descriptor sets tell.
    pub(in crate::layer) fn add_described(&mut self, table: &Table<Arc<Route>>, methods: &Methods) {
        for (path, method) in methods.iter() {
            match method {
                Described::Streaming => drop(self.0.insert(path.into(), Known::Streaming)),
                Described::Unary { response_type } => {
                    self.remove_unlike(path, response_type);
                    self.add(table, path.into(), response_type);
                }
            }
        }
    }

    /// Forgets what a policy says of the method, where that is not so.
    fn remove_unlike(&mut self, path: &str, described: &Arc<str>) {
        let Some(Known::Candidate(known)) = self.0.get(path) else { return };
        if let Some(configured) = known.terms.policy.response_type.as_ref().filter(|known| *known != described) {
            warn!(route = path, %configured, %described, "the type of the method's replies is another than its policy says");
            self.0.remove(path);
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Known> {
        self.0.get(path)
    }

    /// The paths of all methods that are known.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|path| &**path)
    }

    /// The route of calls of the method that a request of this method and path would be for.
    #[inline]
    pub(in crate::layer) fn find(&self, method: &Method, path: &str) -> Option<&Arc<Route>> {
        if self.0.is_empty() || method != Method::POST {
            return None;
        }
        match self.0.get(path)? {
            Known::Candidate(route) => Some(route),
            Known::Operations | Known::Streaming => None,
        }
    }
}

/// Whether the method's replies are operations without the layer, so that an operation of it could not be told apart
/// from one that it replies with.
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
