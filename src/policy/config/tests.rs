//! What is read from a file that is right.

mod addresses;
mod flattened;
mod reports;

use std::{sync::Arc, time::Duration};

use ::http::Method;

use super::*;
use crate::policy::{AtLimit, Completion, Limit, OnDisconnect};

const TOML: &str = r#"
base_path = "/operations/"
public_url = "https://api.example.com/v1/"
trust_forwarded = true
max_operations = 1000
max_operations_per_owner = 10
max_kept_operations = 50_000
max_kept_bytes = "1.5GiB"
completion = "found"
unlisted = "default"

[defaults]
budget = "300ms"
grace = "20ms"
longest_wait = "2m"
at_limit = "unavailable"

[[routes]]
path = "/reports/{id}"

[[routes]]
path = "/reports/{id}"
methods = ["GET", "PURGE"]
budget = "never"
honor_respond_async = false
honor_wait = false
max_run_time = "never"
retention = "2h 30m"
max_request_body = 0
max_reply = "64MiB"
at_limit = { operations = "stay-in-line", request_body = "stay-in-line" }
completion = "replay"
follow_created = true
on_disconnect = "detach"
handle = true
"#;

const YAML: &str = r#"
base_path: /operations
public_url: https://api.example.com/v1
trust_forwarded: true
max_operations: 1000
max_operations_per_owner: 10
max_kept_operations: 50000
max_kept_bytes: 1.5GiB
completion: found
unlisted: default
defaults:
  budget: 300ms
  grace: 20ms
  longest_wait: 2m
  at_limit: unavailable
routes:
  - path: /reports/{id}
  - path: /reports/{id}
    methods: [GET, PURGE]
    budget: never
    honor_respond_async: false
    honor_wait: false
    max_run_time: never
    retention: 2h 30m
    max_request_body: 0
    max_reply: 64MiB
    at_limit:
      operations: stay-in-line
      request_body: stay-in-line
    completion: replay
    follow_created: true
    on_disconnect: detach
    handle: true
"#;

const JSON: &str = r#"{
  "routes": [
    { "path": "/reports/{id}" },
    {
      "path": "/reports/{id}", "methods": ["PURGE", "GET"], "budget": "never",
      "honor_respond_async": false, "honor_wait": false, "max_run_time": "never",
      "retention": "150m", "max_request_body": "0", "max_reply": 67108864,
      "at_limit": { "operations": "stay-in-line", "request_body": "stay-in-line" },
      "completion": "replay", "follow_created": true, "on_disconnect": "detach", "handle": true
    }
  ],
  "defaults": { "budget": "300ms", "grace": "20ms", "longest_wait": "2m", "at_limit": "unavailable" },
  "unlisted": "default", "completion": "found",
  "max_kept_bytes": 1610612736, "max_kept_operations": 50000,
  "max_operations": 1000, "max_operations_per_owner": 10,
  "trust_forwarded": true, "public_url": "https://api.example.com/v1", "base_path": "/operations"
}"#;

fn expected() -> Config {
    let defaults = Policy::new()
        .budget(Duration::from_millis(300))
        .grace(Duration::from_millis(20))
        .longest_wait(Duration::from_secs(120))
        .at_every_limit(AtLimit::Unavailable)
        .completion(Completion::Found);
    let purge = Method::from_bytes(b"PURGE").unwrap();
    let patient = defaults
        .clone()
        .methods([Method::GET, purge])
        .without_budget()
        .honor_respond_async(false)
        .honor_wait(false)
        .without_max_run_time()
        .retention(Duration::from_secs(9000))
        .max_request_body(0)
        .max_reply(64 * 1024 * 1024)
        .at_limit(Limit::Operations, AtLimit::StayInLine)
        .at_limit(Limit::RequestBody, AtLimit::StayInLine)
        .completion(Completion::Replay)
        .follow_created(true)
        .on_disconnect(OnDisconnect::Detach)
        .handle(true);
    Config {
        base_path: Some("/operations".to_owned()),
        public_url: Some("https://api.example.com/v1".to_owned()),
        trust_forwarded: Some(true),
        max_operations: Some(1000),
        max_operations_per_owner: Some(10),
        max_kept_operations: Some(50_000),
        max_kept_bytes: Some(1_610_612_736),
        routes: Routes::builder()
            .otherwise(defaults.clone())
            .route("/reports/{id}", defaults)
            .route("/reports/{id}", patient)
            .build()
            .unwrap(),
    }
}

#[cfg(feature = "durable")]
#[test]
fn execution_is_configured_like_the_rest() {
    let config: Config =
        toml::from_str("[defaults]\nexecution = \"durable\"\nmax_attempts = 5\nbackoff = \"250ms\"").unwrap();
    let expected =
        Policy::new().execution(crate::Execution::Durable).max_attempts(5).backoff(Duration::from_millis(250));
    assert_eq!(config.routes(), expected.into());
    let wrong =
        toml::from_str::<Config>("[defaults]\nexecution = \"durably\"\nmax_attempts = 0").unwrap_err().to_string();
    assert!(wrong.contains("defaults.execution") && wrong.contains("defaults.max_attempts"), "{wrong}");
}

#[cfg(feature = "grpc")]
#[test]
fn grpc_methods_are_configured_like_the_rest() {
    let config: Config = toml::from_str(
        "[defaults]\non_budget = 'status'\n\
         [[routes]]\npath = '/renders.v1.Renders/Render'\nresponse_type = 'renders.v1.Picture'",
    )
    .unwrap();
    let policy = Policy::new().on_budget(crate::OnBudget::Status).response_type("renders.v1.Picture");
    assert_eq!(config.routes(), Routes::builder().route("/renders.v1.Renders/Render", policy).build().unwrap());

    let wrong = "[defaults]\non_budget = 'inline'\n[[routes]]\npath = '/a.B/{c}'\nresponse_type = 'a.D'\n\
                 [[routes]]\npath = '/a.B/C'\nresponse_type = '/a.D'";
    let expected = r#"
defaults.on_budget: expected "in-line" or "status", found "inline"; did you mean "in-line"?
routes[1].response_type: expected the name of a message such as "renders.v1.Picture", found "/a.D"
routes[0].response_type: response_type is for the path of one gRPC method, such as "/renders.v1.Renders/Render""#;
    assert_eq!(toml::from_str::<Config>(wrong).unwrap_err().to_string().trim_end(), expected.trim_start());
}

#[test]
fn every_key_is_read_alike_from_toml_yaml_and_json() {
    assert_eq!(toml::from_str::<Config>(TOML).unwrap(), expected());
    assert_eq!(serde_yaml_ng::from_str::<Config>(YAML).unwrap(), expected());
    assert_eq!(serde_json::from_str::<Config>(JSON).unwrap(), expected());
}

#[test]
fn an_empty_file_is_the_default_policy_for_every_path() {
    let default = Config::default();
    assert_eq!(default.routes(), Policy::new().into());
    assert_eq!(toml::from_str::<Config>("").unwrap(), default);
    assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), default);
    for yaml in ["", "# nothing yet", "defaults:\nroutes:\n"] {
        assert_eq!(serde_yaml_ng::from_str::<Config>(yaml).unwrap(), default, "{yaml}");
    }
}

#[test]
fn what_is_not_listed_passes_only_beside_a_list() {
    let cases = [
        ("", Some("default")),
        ("unlisted = 'default'", Some("default")),
        ("unlisted = 'pass'", None),
        ("[[routes]]\npath = '/reports'", None),
        ("unlisted = 'pass'\n[[routes]]\npath = '/reports'", None),
        ("unlisted = 'default'\n[[routes]]\npath = '/reports'", Some("default")),
    ];
    for (file, expected) in cases {
        let config: Config = toml::from_str(file).unwrap();
        let names = config.routes().map(|name, _| name);
        let found = names.find(&Method::POST, "/elsewhere").map(Arc::as_ref);
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn the_defaults_own_completion_comes_before_the_one_at_the_top() {
    let file = "completion = 'found'\n[defaults]\ncompletion = 'replay'";
    let config: Config = toml::from_str(file).unwrap();
    assert_eq!(config.routes(), Policy::new().completion(Completion::Replay).into());
}
