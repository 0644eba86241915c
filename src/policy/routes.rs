//! The table of routes: which policy holds for which path and method.

use std::sync::Arc;

use super::{
    Policy,
    route_errors::{RouteError, RouteFault, RoutePlace, RoutesErrors},
    table::Table,
};

/// The name of the default policy in metrics.
const DEFAULT_NAME: &str = "default";

/// Which policy holds for which path and method.
///
/// ```
/// use std::time::Duration;
/// use http::Method;
/// use tower_respond_async::{Policy, Routes};
///
/// let quick = Policy::new().budget(Duration::from_millis(300));
/// let routes = Routes::builder()
///     .route("/reports/{id}", quick.clone())
///     .route("/reports/{id}", Policy::new().methods([Method::GET]).without_budget())
///     .route("/uploads/{*path}", quick.max_request_body(64 * 1024 * 1024))
///     .build()?;
/// # Ok::<(), tower_respond_async::RoutesErrors>(())
/// ```
///
/// Patterns are written, and matched, as in axum 0.8: `{id}` is one segment, `{*path}` the rest; a
/// literal segment goes before a parameter; a trailing slash counts. The whole path that reaches the
/// layer is matched, whatever router stands inside.
///
/// A listed route takes only the methods of its policy. The other methods of its path, like all other
/// paths, fall to the default policy if that names the method, and else pass untouched.
///
/// A single [`Policy`] is a table too: the default, and no routes. The default table is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routes(Table<Policy>);

impl Routes {
    /// Starts an empty table: every request passes untouched.
    pub fn builder() -> RoutesBuilder {
        RoutesBuilder::default()
    }

    /// The table with what `make` makes of each route's name and policy.
    ///
    /// The name is the route's pattern, or `default`.
    pub(crate) fn map<T>(&self, mut make: impl FnMut(Arc<str>, &Policy) -> T) -> Table<T> {
        self.0.map(|pattern, policy| {
            let name = pattern.map_or_else(|| Arc::from(DEFAULT_NAME), Arc::clone);
            make(name, policy)
        })
    }

    /// The paths of the gRPC methods whose type of reply is said here, each with that.
    #[cfg(feature = "grpc")]
    pub(crate) fn response_types(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.listed().filter_map(|(path, policy)| Some((path, policy.response_type.as_ref()?)))
    }
}

/// The policy for every path. One that [`RoutesBuilder::build`] refuses is logged as an error and holds for no path.
impl From<Policy> for Routes {
    fn from(policy: Policy) -> Self {
        Self::builder().otherwise(policy).build().unwrap_or_else(|errors| {
            tracing::error!(%errors, "requests pass untouched, because their policy cannot be kept to");
            Self::default()
        })
    }
}

/// Collects routes; from [`Routes::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RoutesBuilder {
    default: Option<Policy>,
    routes: Vec<Route>,
}

#[derive(Clone, Debug)]
struct Route {
    position: usize,
    pattern: String,
    policy: Policy,
}

impl RoutesBuilder {
    /// The policy for the requests that no route takes. Without one they pass untouched.
    pub fn otherwise(mut self, policy: Policy) -> Self {
        self.default = Some(policy);
        self
    }

    /// The policy for the paths that match `pattern` and the methods that `policy` names.
    ///
    /// A pattern may be listed several times, each time for other methods.
    pub fn route(self, pattern: impl Into<String>, policy: Policy) -> Self {
        let position = self.routes.len();
        self.route_at(position, pattern.into(), policy)
    }

    /// Adds a route that errors will call by `position`.
    pub(super) fn route_at(mut self, position: usize, pattern: String, policy: Policy) -> Self {
        self.routes.push(Route { position, pattern, policy });
        self
    }

    /// Checks all policies and routes, and makes the table.
    ///
    /// # Errors
    ///
    /// Says all that is wrong. With a policy: it holds for no method, or its longest run time, its retention or its
    /// largest reply is zero. With a route's pattern: it cannot be read, no path can match it, it conflicts with
    /// another (`/{id}` and `/{name}`), or it is already listed for the same method, or it is no gRPC method's path and
    /// its policy has a response type.
    pub fn build(self) -> Result<Routes, RoutesErrors> {
        let mut table = Table::default();
        let mut errors = Vec::new();
        if let Some(policy) = self.default {
            let error = |fault| RouteError { place: RoutePlace::Default, fault };
            errors.extend(RouteFault::all_of(&policy).chain(RouteFault::of_place(&policy, None)).map(error));
            table.set_default(policy.methods.clone(), policy);
        }
        for Route { position, pattern, policy } in self.routes {
            let faults = RouteFault::all_of(&policy).chain(RouteFault::of_place(&policy, Some(&pattern)));
            let unlisted = table.insert(position, &pattern, policy.methods.clone(), policy).err();
            let error = |fault| RouteError { place: RoutePlace::Listed { position, pattern: pattern.clone() }, fault };
            errors.extend(unlisted.into_iter().chain(faults).map(error));
        }
        RoutesErrors::none_or(errors).map(|()| Routes(table))
    }
}

#[cfg(test)]
mod tests {
    use ::http::Method;
    use std::time::Duration;

    use super::*;

    fn named(table: &Table<Arc<str>>, method: &Method, path: &str) -> Option<String> {
        table.find(method, path).map(ToString::to_string)
    }

    fn names(routes: &Routes) -> Table<Arc<str>> {
        routes.map(|name, _| name)
    }

    #[test]
    fn a_route_takes_its_own_methods_and_the_default_takes_the_rest() {
        let get = Policy::new().methods([Method::GET]);
        let routes = Routes::builder()
            .otherwise(Policy::new())
            .route("/reports/{id}", get.clone())
            .route("/reports/summary", get)
            .route("/files/{*path}", Policy::new())
            .build()
            .unwrap();
        let table = names(&routes);
        let cases = [
            (Method::GET, "/reports/7", Some("/reports/{id}")),
            (Method::GET, "/reports/summary", Some("/reports/summary")),
            (Method::POST, "/reports/7", Some("default")),
            (Method::GET, "/reports/7/", None),
            (Method::GET, "/reports/", None),
            (Method::POST, "/files/a/b", Some("/files/{*path}")),
            (Method::POST, "/files/", Some("default")),
            (Method::GET, "/files/a/b", None),
            (Method::GET, "/elsewhere", None),
            (Method::POST, "/elsewhere", Some("default")),
            (Method::POST, "*", Some("default")),
            (Method::POST, "", Some("default")),
        ];
        for (method, path, expected) in cases {
            let found = named(&table, &method, path);
            assert_eq!(found.as_deref(), expected, "{method} {path}");
        }
    }

    #[test]
    fn one_pattern_may_be_listed_for_several_methods() {
        let quick = Policy::new().budget(Duration::ZERO);
        let patient = Policy::new().methods([Method::GET]).without_budget();
        let routes =
            Routes::builder().route("/reports", quick.clone()).route("/reports", patient.clone()).build().unwrap();
        let table = routes.map(|_, policy| policy.clone());
        assert_eq!(table.find(&Method::POST, "/reports"), Some(&quick));
        assert_eq!(table.find(&Method::GET, "/reports"), Some(&patient));
        assert_eq!(table.find(&Method::HEAD, "/reports"), None);
    }

    #[test]
    fn without_a_default_what_is_not_listed_passes() {
        let routes = Routes::builder().route("/reports", Policy::new()).build().unwrap();
        assert_eq!(named(&names(&routes), &Method::POST, "/elsewhere"), None);
        assert_eq!(named(&names(&Routes::default()), &Method::POST, "/"), None);
    }

    #[test]
    fn a_policy_alone_holds_for_every_path() {
        let table = names(&Policy::new().into());
        for path in ["/", "/a/b", "*"] {
            let found = named(&table, &Method::PUT, path);
            assert_eq!(found.as_deref(), Some("default"), "{path}");
        }
        assert_eq!(named(&table, &Method::GET, "/"), None);
    }

    #[test]
    fn all_wrong_routes_are_named_at_once() {
        let get = Policy::new().methods([Method::GET]);
        let errors = Routes::builder()
            .route("/ok", Policy::new())
            .route("reports", Policy::new())
            .route("", Policy::new())
            .route("/reports/:id", Policy::new())
            .route("/files/*path", Policy::new())
            .route("/reports/{}", Policy::new())
            .route("/reports/{id", Policy::new())
            .route("/reports/{id}.pdf", Policy::new())
            .route("/files/{*path}/x", Policy::new())
            .route("/a/{id}", Policy::new())
            .route("/a/{name}", Policy::new())
            .route("/ok", get)
            .route("/ok", Policy::new().methods([Method::GET, Method::PUT]))
            .route("/ok", Policy::new())
            .route("/none", Policy::new().methods([]))
            .route("/a?b", Policy::new())
            .route("/a#b", Policy::new())
            .route("/a b/{id}", Policy::new())
            .route("/nothing?", Policy::new().methods([]).max_run_time(Duration::ZERO).max_reply(0))
            .otherwise(Policy::new().retention(Duration::ZERO))
            .build()
            .unwrap_err();
        let expected = r#"
the default policy: retention must be more than zero
routes[1], "reports": a path starts with "/"
routes[2], "": a path starts with "/"
routes[3], "/reports/:id": a parameter is written {id}, not :id
routes[4], "/files/*path": the rest of a path is written {*path}, not *path
routes[5], "/reports/{}": a parameter needs a name between matching braces, such as {id}
routes[6], "/reports/{id": a parameter needs a name between matching braces, such as {id}
routes[7], "/reports/{id}.pdf": a segment has at most one parameter, and nothing after it
routes[8], "/files/{*path}/x": a parameter for the rest of the path stands at the end
routes[10], "/a/{name}": the path conflicts with "/a/{id}"
routes[12], "/ok": PUT is already listed for this path in routes[0]
routes[13], "/ok": POST, PUT, PATCH, DELETE are already listed for this path in routes[0]
routes[14], "/none": the policy holds for no method
routes[15], "/a?b": no path has '?' in it
routes[16], "/a#b": no path has '#' in it
routes[17], "/a b/{id}": no path has ' ' in it
routes[18], "/nothing?": no path has '?' in it
routes[18], "/nothing?": the policy holds for no method
routes[18], "/nothing?": max_run_time must be more than zero
routes[18], "/nothing?": max_reply must be more than zero"#;
        assert_eq!(errors.to_string(), expected.trim_start());
        let places: Vec<_> = errors.iter().map(|error| (error.position(), error.pattern())).collect();
        assert_eq!(places[..2], [(None, None), (Some(1), Some("reports"))]);
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn a_response_type_is_for_one_grpc_method() {
        let policy = |name: &str| Policy::new().response_type(name);
        let errors = Routes::builder()
            .route("/renders.v1.Renders/Render", policy("renders.v1.Picture"))
            .route("/renders.v1.Renders/Draw", policy(".renders.v1.Picture"))
            .route("/renders.v1.Renders/{method}", policy("renders.v1.Picture"))
            .otherwise(policy("renders.v1.Picture"))
            .build()
            .unwrap_err();
        let expected = r#"
the default policy: response_type is for the path of one gRPC method, such as "/renders.v1.Renders/Render"
routes[1], "/renders.v1.Renders/Draw": response_type is the name of a message such as "renders.v1.Picture", not ".renders.v1.Picture"
routes[2], "/renders.v1.Renders/{method}": response_type is for the path of one gRPC method, such as "/renders.v1.Renders/Render""#;
        assert_eq!(errors.to_string(), expected.trim_start());
    }

    #[test]
    fn every_pattern_that_a_path_can_match_is_taken() {
        for (pattern, path) in [
            ("/a%20b/{id}", "/a%20b/7"),
            ("/caf\u{e9}", "/caf\u{e9}"),
            ("/-._~!$&'()*+,;=:@|^", "/-._~!$&'()*+,;=:@|^"),
            ("/{what is it?}", "/7"),
            ("/{{id}}", "/{id}"),
        ] {
            let routes = Routes::builder().route(pattern, Policy::new()).build().unwrap();
            let path: ::http::Uri = path.parse().unwrap();
            assert_eq!(named(&names(&routes), &Method::POST, path.path()).as_deref(), Some(pattern));
        }
    }

    #[test]
    fn a_policy_alone_that_would_lose_every_operation_holds_for_no_path() {
        for policy in [
            Policy::new().max_run_time(Duration::ZERO),
            Policy::new().retention(Duration::ZERO),
            Policy::new().max_reply(0),
        ] {
            assert_eq!(named(&names(&policy.into()), &Method::POST, "/"), None);
        }
    }
}
