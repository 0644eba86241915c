//! Policies, routes and limits from a configuration file in any format that serde reads.

mod addresses;
mod place;
mod policy_fields;
mod route_fields;
mod scalars;
mod spelling;
mod units;
mod value;

use serde::de::{Deserialize, Deserializer, Error};

use super::{Policy, Routes};
use addresses::{base_path, public_url};
use place::{Fields, Place, Report};
use scalars::{count, flag, size_above_zero};
use value::Value;

/// Policies, routes and limits, read from a configuration file: TOML, YAML, JSON or any other format
/// that serde reads and that describes itself.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config: tower_respond_async::Config = toml::from_str(r#"
///     base_path = "/operations"
///     max_operations = 1000
///
///     [defaults]
///     budget = "300ms"
///
///     [[routes]]
///     path = "/reports/{id}"
///
///     [[routes]]
///     path = "/exports"
///     methods = ["GET"]
///     budget = "never"
///     max_reply = "64MiB"
///     at_limit = { operations = "unavailable" }
/// "#)?;
/// let routes = config.routes();
/// # Ok(()) }
/// ```
///
/// Every key may be left out. At the top:
///
/// | key | value | default |
/// |---|---|---|
/// | `base_path` | where the status monitor is mounted, such as `"/operations"`, or `"/"` | the hub's |
/// | `public_url` | the URL clients know the server by, `http` or `https`; makes `Location` a full URL | none |
/// | `trust_forwarded` | whether `Forwarded` and `X-Forwarded-*` say that URL: only behind a proxy that sets or removes each of them | the hub's |
/// | `max_operations` | operations in flight at once, at least 1 | the hub's |
/// | `max_operations_per_owner` | the same for each owner | the hub's |
/// | `max_kept_operations` | operations kept at once, running and ended, at least 1 | the hub's |
/// | `max_kept_bytes` | size of all kept replies, at least one byte | the hub's |
/// | `completion` | the default of `defaults.completion` | `"see-other"` |
/// | `unlisted` | what requests get that no route takes: `"default"`, the policy in `defaults`, or `"pass"`, nothing | `"pass"` where routes are listed, else `"default"` |
/// | `defaults` | a policy, the base of every route's | |
/// | `routes` | a list of policies, each with the `path` it is for, written as for [`Routes`] | none |
///
/// The fields of a policy are named like the setters of [`Policy`] and have the same defaults:
///
/// | key | value |
/// |---|---|
/// | `methods` | a list such as `["POST", "PUT"]` |
/// | `budget` | a duration or `"never"` |
/// | `max_run_time` | a duration longer than zero, or `"never"` |
/// | `grace`, `longest_wait` | a duration |
/// | `retention` | a duration longer than zero |
/// | `max_request_body` | a size |
/// | `max_reply` | a size of at least one byte |
/// | `honor_respond_async`, `honor_wait`, `honor_idempotency_key`, `follow_created`, `handle` | `true` or `false` |
/// | `at_limit` | `"stay-in-line"` or `"unavailable"`; or a table that says it for some of `operations`, `operations_per_owner`, `kept_replies` and `request_body` |
/// | `completion` | `"see-other"`, `"found"` or `"replay"` |
/// | `on_disconnect` | `"cancel"` or `"detach"` |
/// | `on_budget` | `"in-line"` or `"status"`, with the feature `grpc` |
/// | `response_type` | the message type of a gRPC method, such as `"renders.v1.Picture"`, with the feature `grpc` |
/// | `execution` | `"detached"` or `"durable"`, with the feature `durable` |
/// | `max_attempts` | a whole number, at least 1, with the feature `durable` |
/// | `backoff` | a duration, with the feature `durable` |
///
/// Durations are texts with units: `"300ms"`, `"2h 30m"`. Sizes are bytes, `1048576`, or texts with a
/// decimal or binary unit: `"64KiB"`, `"1.5GB"`.
///
/// # Errors
///
/// Reading fails with everything that is wrong in the file, a line for each, with its place. Unknown
/// keys are wrong too.
///
/// ```text
/// routes[0].budget: expected a duration such as "300ms" or "never", found the number 300
/// routes[2].bugdet: unknown key; did you mean "budget"?
/// ```
///
/// # Within a larger file
///
/// As a field of a larger structure it reads a section; with `#[serde(flatten)]` it reads all keys that
/// the structure does not name itself. Flatten nothing else beside it: it would find those keys unknown.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    pub(crate) base_path: Option<String>,
    pub(crate) public_url: Option<String>,
    pub(crate) trust_forwarded: Option<bool>,
    pub(crate) max_operations: Option<usize>,
    pub(crate) max_operations_per_owner: Option<usize>,
    pub(crate) max_kept_operations: Option<usize>,
    pub(crate) max_kept_bytes: Option<usize>,
    routes: Routes,
}

impl Config {
    /// The routes and their policies, for the layer.
    #[must_use]
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }
}

/// The configuration in an empty file: one default policy for every path.
impl Default for Config {
    fn default() -> Self {
        Self {
            base_path: None,
            public_url: None,
            trust_forwarded: None,
            max_operations: None,
            max_operations_per_owner: None,
            max_kept_operations: None,
            max_kept_bytes: None,
            routes: Policy::default().into(),
        }
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = Value::deserialize(deserializer)?;
        let report = Report::default();
        let mut fields = Place::root(&file, &report).section();
        let config = config(&mut fields);
        fields.finish();
        report.none_or_all().map_err(D::Error::custom)?;
        Ok(config)
    }
}

fn config(file: &mut Fields<'_>) -> Config {
    let mut config = Config::default();
    file.set_some("base_path", &mut config.base_path, base_path);
    file.set_some("public_url", &mut config.public_url, public_url);
    file.set_some("trust_forwarded", &mut config.trust_forwarded, flag);
    file.set_some("max_operations", &mut config.max_operations, count);
    file.set_some("max_operations_per_owner", &mut config.max_operations_per_owner, count);
    file.set_some("max_kept_operations", &mut config.max_kept_operations, count);
    file.set_some("max_kept_bytes", &mut config.max_kept_bytes, size_above_zero);
    if let Some(routes) = route_fields::routes(file) {
        config.routes = routes;
    }
    config
}

#[cfg(test)]
mod tests;
