use std::{net::SocketAddr, sync::Arc, time::Duration};

use ::http::Method;
use serde::Deserialize;

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

#[derive(Debug, PartialEq, Deserialize)]
struct Gateway {
    listen: SocketAddr,
    upstream: String,
    #[serde(flatten)]
    operations: Config,
}

const GATEWAY: &str = "listen = '127.0.0.1:8080'\nupstream = 'http://127.0.0.1:9000'\n";

#[test]
fn it_can_be_flattened_into_a_larger_structure() {
    let gateway: Gateway = toml::from_str(&format!("{GATEWAY}{TOML}")).unwrap();
    assert_eq!(gateway.upstream, "http://127.0.0.1:9000");
    assert_eq!(gateway.operations, expected());

    let yaml = format!("listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:9000\n{YAML}");
    assert_eq!(serde_yaml_ng::from_str::<Gateway>(&yaml).unwrap(), gateway);

    let json = JSON.replacen('{', r#"{"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:9000","#, 1);
    assert_eq!(serde_json::from_str::<Gateway>(&json).unwrap(), gateway);

    let default: Gateway = toml::from_str(GATEWAY).unwrap();
    assert_eq!(default.operations, Config::default());
}

#[test]
fn flattened_it_reports_all_that_is_wrong_too() {
    let file = format!("{GATEWAY}upstraem = 'x'\nmax_operations = 0\n[defaults]\nbudget = 300");
    let error = toml::from_str::<Gateway>(&file).unwrap_err().to_string();
    for line in [
        "max_operations: expected a whole number, at least 1, found the number 0",
        r#"defaults.budget: expected a duration such as "300ms" or "never", found the number 300"#,
        "upstraem: unknown key",
    ] {
        assert!(error.lines().any(|found| found == line), "{line}\n{error}");
    }
}

/// Wrong files, each with its whole report.
const WRONG: &[(&str, &str)] = &[
    (
        "budget = '1s'\nbase-path = '/x'\nnonsense = 1",
        r#"
base-path: unknown key; did you mean "base_path"?
budget: unknown key; did you mean "defaults.budget"?
nonsense: unknown key"#,
    ),
    (
        "base_path = 'operations'\npublic_url = '/api'\ntrust_forwarded = 'yes'\ncompletion = 'seeother'",
        r#"
base_path: expected a path such as "/operations", found "operations"
public_url: expected an absolute URL such as "https://api.example.com", without user, query and fragment, found "/api"
trust_forwarded: expected true or false, found "yes"
completion: expected "see-other", "found" or "replay", found "seeother"; did you mean "see-other"?"#,
    ),
    (
        "max_operations = 0\nmax_operations_per_owner = -1\nmax_kept_operations = 1.5\nmax_kept_bytes = '0B'",
        r#"
max_operations: expected a whole number, at least 1, found the number 0
max_operations_per_owner: expected a whole number, at least 1, found the number -1
max_kept_operations: expected a whole number, at least 1, found the number 1.5
max_kept_bytes: expected a size of at least one byte, found "0B""#,
    ),
    (
        "[defaults]\nbudget = '300'\ngrace = '3 parsecs'\nlongest_wait = 'never'\nmax_run_time = '0s'\n\
         retention = '0ms'\nmax_request_body = -1\nmax_reply = 0\nhandle = 1",
        r#"
defaults.budget: expected a duration such as "300ms" or "never", found "300", which has no unit
defaults.grace: expected a duration such as "300ms", found "3 parsecs", whose unit "parsecs" is unknown
defaults.longest_wait: expected a duration such as "300ms", found "never"
defaults.max_run_time: expected a duration longer than zero, found "0s"
defaults.retention: expected a duration longer than zero, found "0ms"
defaults.max_request_body: expected a size such as "10MiB", found the number -1
defaults.max_reply: expected a size of at least one byte, found the number 0
defaults.handle: expected true or false, found the number 1"#,
    ),
    (
        "[defaults]\nmax_reply = '99999999TiB'\nmax_request_body = '10M'\nbudget = '99999999999999999years'\n\
         grace = []\nretention = {}\nhonor_wait = '2s'",
        r#"
defaults.budget: expected a duration such as "300ms" or "never", found "99999999999999999years", which is too large or too fine
defaults.grace: expected a duration such as "300ms", found a list
defaults.honor_wait: expected true or false, found "2s"
defaults.retention: expected a duration such as "300ms", found a table
defaults.max_request_body: expected a size such as "10MiB", found "10M", whose unit "M" is unknown
defaults.max_reply: expected a size such as "10MiB", found "99999999TiB", which is too large or too fine"#,
    ),
    (
        "[[routes]]\npath = '/a'\nbudget = 300\n[[routes]]\nbudget = '1s'\n[[routes]]\npath = 7\nbugdet = '1s'",
        r#"
routes[0].budget: expected a duration such as "300ms" or "never", found the number 300
routes[1].path: missing; expected a path such as "/reports/{id}"
routes[2].path: expected a path such as "/reports/{id}", found the number 7
routes[2].bugdet: unknown key; did you mean "budget"?"#,
    ),
    (
        "[[routes]]\npath = 'a'\n[[routes]]\nmethods = ['GET']\n[[routes]]\npath = '/b/{id}'\n\
         [[routes]]\npath = '/b/{name}'\n[[routes]]\npath = '/b/{id}'\nmethods = ['PUT', 'GET']",
        r#"
routes[1].path: missing; expected a path such as "/reports/{id}"
routes[0].path: a path starts with "/"; found "a"
routes[3].path: the path conflicts with "/b/{id}"; found "/b/{name}"
routes[4].methods: PUT is already listed for this path in routes[2]"#,
    ),
    (
        "[[routes]]\npath = '/a'\nmethods = []\n[[routes]]\npath = '/a'\nmethods = 'GET'\n[[routes]]\npath = '/:id'\n\
         methods = ['post', 'POTS', 'DELTE', '', 'A B', 3, 'PROPFIND', 'ACL']",
        r#"
routes[0].methods: expected at least one method, found none
routes[1].methods: expected a list of methods such as ["POST"], found "GET"
routes[2].methods[0]: expected a method such as "POST", found "post"; did you mean "POST"?
routes[2].methods[1]: expected a method such as "POST", found "POTS"; did you mean "POST"?
routes[2].methods[2]: expected a method such as "POST", found "DELTE"; did you mean "DELETE"?
routes[2].methods[3]: expected a method such as "POST", found ""
routes[2].methods[4]: expected a method such as "POST", found "A B"
routes[2].methods[5]: expected a method such as "POST", found the number 3
routes[2].path: a parameter is written {id}, not :id; found "/:id""#,
    ),
    (
        "defaults = 3\nroutes = [1, 'x']\nunlisted = 'ignore'",
        r#"
defaults: expected a table, found the number 3
unlisted: expected "default" or "pass", found "ignore"
routes[0]: expected a table, found the number 1
routes[1]: expected a table, found "x""#,
    ),
    ("routes = { path = '/a' }", "\nroutes: expected a list of routes, found a table"),
    (
        "[[routes]]\npath = '/a'\non_disconnect = 'keep'\nat_limit = 'Unavailable'\n\
         [[routes]]\npath = '/b'\nat_limit = { operation = 'unavailable', kept_replies = '503', request_body = true }",
        r#"
routes[0].at_limit: expected "stay-in-line" or "unavailable", found "Unavailable"; did you mean "unavailable"?
routes[0].on_disconnect: expected "cancel" or "detach", found "keep"
routes[1].at_limit.kept_replies: expected "stay-in-line" or "unavailable", found "503"
routes[1].at_limit.request_body: expected "stay-in-line" or "unavailable", found true
routes[1].at_limit.operation: unknown key; did you mean "operations"?"#,
    ),
];

#[test]
fn a_wrong_file_is_told_all_that_is_wrong() {
    for (file, expected) in WRONG {
        let report = toml::from_str::<Config>(file).unwrap_err().to_string();
        assert_eq!(report.trim_end(), expected.trim_start());
    }
}

#[test]
fn a_report_reads_the_same_whatever_the_format() {
    let expected = r#"defaults.budget: expected a duration such as "300ms" or "never", found the number 300
routes[0].bugdet: unknown key; did you mean "budget"?"#;
    let json = r#"{"defaults": {"budget": 300}, "routes": [{"path": "/", "bugdet": 1}]}"#;
    let yaml = "defaults: {budget: 300}\nroutes: [{path: /, bugdet: 1}]";
    let toml = "defaults = {budget = 300}\nroutes = [{path = '/', bugdet = 1}]";
    let reports = [
        serde_json::from_str::<Config>(json).unwrap_err().to_string(),
        serde_yaml_ng::from_str::<Config>(yaml).unwrap_err().to_string(),
        toml::from_str::<Config>(toml).unwrap_err().to_string(),
    ];
    for report in reports {
        assert_eq!(report.trim_end(), expected);
    }
}

#[test]
fn what_only_some_formats_can_say() {
    let cases = [
        (r#"{"handle": true, "defaults": null, "defaults": {}}"#, "defaults: given more than once"),
        (
            r#"{"defaults": {"budget": null}}"#,
            r#"defaults.budget: expected a duration such as "300ms" or "never", found nothing"#,
        ),
        (
            r#"{"max_operations": 18446744073709551616}"#,
            "max_operations: expected a whole number, at least 1, found the number 1.8446744073709552e19",
        ),
        ("[]", "expected a table, found a list"),
    ];
    for (json, line) in cases {
        let report = serde_json::from_str::<Config>(json).unwrap_err().to_string();
        assert!(report.lines().any(|found| found == line), "{line}\n{report}");
    }
    let report = serde_yaml_ng::from_str::<Config>("1: x\ntrue: y").unwrap_err().to_string();
    assert_eq!(report, "the number 1: unknown key\ntrue: unknown key");
}

#[test]
fn addresses() {
    let reads =
        |key: &str, text: &str| Config::deserialize(toml::Table::from_iter([(key.to_owned(), text.into())])).is_ok();
    let paths = ["/operations", "/api/v1/operations/", "/~me/op-1"];
    let no_paths = ["", "/", "//", "a", "/a//b", "/a b", "/a?b", "/a#b", "/{id}", "/*", "/../a", "/a\r\n"];
    for path in paths {
        assert!(reads("base_path", path), "{path:?}");
    }
    for path in no_paths {
        assert!(!reads("base_path", path), "{path:?}");
    }
    let urls = ["https://api.example.com", "http://127.0.0.1:8080/", "https://[::1]/api"];
    let no_urls = [
        "",
        "/",
        "api.example.com",
        "ftp://example.com",
        "https://",
        "https:///x",
        "https://me:pw@example.com",
        "https://example.com/?q",
        "https://example.com/#top",
        "https://example.com/a b",
    ];
    for url in urls {
        assert!(reads("public_url", url), "{url:?}");
    }
    for url in no_urls {
        assert!(!reads("public_url", url), "{url:?}");
    }
}
