//! Its file, and what it says of a wrong one.

use crate::process::{Gateway, run};

#[test]
fn the_example_is_right_and_so_is_all_that_it_leaves_out() {
    let file = include_str!("../../examples/gateway.toml");
    let is_key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let uncommented = file.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line));
    let uncommented = uncommented.collect::<Vec<_>>().join("\n");
    assert!(uncommented.lines().filter(|line| is_key(line)).count() > 30, "{uncommented}");
    for text in [file, &uncommented] {
        Gateway::start_with(&text.replace("127.0.0.1:8000", "127.0.0.1:0"));
    }
}

#[test]
fn a_wrong_file_is_told_all_that_is_wrong() {
    let file = "upstream = 'https://127.0.0.1/x'\nupstraem = 'x'\nconnect_timeout = 5\nupstream_timeout = '0s'\n\
                base_path = 'operations'\n[defaults]\nbudget = 300\n[[routes]]\npath = '/a'\nbugdet = '1s'";
    let report = r#"file.toml is not right:
listen: missing; expected an address such as "127.0.0.1:8000"
upstream: expected a URL such as "http://127.0.0.1:8080", without a path, found "https://127.0.0.1/x"
connect_timeout: expected a duration longer than zero, such as "5s", found 5
upstream_timeout: expected a duration longer than zero, such as "5s", found "0s"
base_path: expected a path such as "/operations", found "operations"
defaults.budget: expected a duration such as "300ms" or "never", found the number 300
routes[0].bugdet: unknown key; did you mean "budget"?
upstraem: unknown key
"#;
    assert_eq!(run(Some(file)), (Some(2), report.to_owned()));
}

#[test]
fn the_monitor_leaves_something_to_the_backend() {
    let (code, report) = run(Some("listen = '127.0.0.1:0'\nupstream = 'http://127.0.0.1:1'\nbase_path = '/'"));
    assert_eq!(code, Some(2));
    assert!(report.contains("base_path: "), "{report}");
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let (code, report) = run(Some("listen = \nupstream = 'x'"));
    assert_eq!(code, Some(2));
    assert!(report.contains("line 1"), "{report}");
}

#[test]
fn without_a_file_it_says_how_it_is_used() {
    assert_eq!(run(None), (Some(2), "usage: gateway PATH.toml\n".to_owned()));
}
