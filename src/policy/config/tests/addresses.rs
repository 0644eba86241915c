//! Which paths and URLs are taken.

use super::*;

#[test]
fn an_address_is_taken_only_if_clients_can_be_sent_there() {
    let reads =
        |key: &str, text: &str| Config::deserialize(toml::Table::from_iter([(key.to_owned(), text.into())])).is_ok();
    let paths = ["/operations", "/api/v1/operations/", "/~me/op-1", "/"];
    let no_paths = ["", "//", "a", "/a//b", "/a b", "/a?b", "/a#b", "/{id}", "/*", "/../a", "/a\r\n"];
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

#[test]
fn the_monitor_may_be_all_there_is() {
    let config: Config = toml::from_str("base_path = '/'").unwrap();
    assert!(crate::Operations::builder().config(&config).build().is_ok());
}
