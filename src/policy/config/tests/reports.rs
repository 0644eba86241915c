//! What a wrong file is told.

use super::*;

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
         [[routes]]\npath = '/b/{name}'\n[[routes]]\npath = '/b/{id}'\nmethods = ['PUT', 'GET']\n\
         [[routes]]\npath = '/b?page=1'\nretention = '0s'",
        r#"
routes[1].path: missing; expected a path such as "/reports/{id}"
routes[5].retention: expected a duration longer than zero, found "0s"
routes[0].path: a path starts with "/"; found "a"
routes[3].path: the path conflicts with "/b/{id}"; found "/b/{name}"
routes[4].methods: PUT is already listed for this path in routes[2]
routes[5].path: no path has '?' in it; found "/b?page=1""#,
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
