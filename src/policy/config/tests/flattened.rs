//! A configuration within a larger structure.

use std::net::SocketAddr;

use serde::Deserialize;

use super::*;

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
