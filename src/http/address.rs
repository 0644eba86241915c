//! What may stand in an address that clients are sent to.

use http::{Uri, uri::Authority};

/// Whether it is a path of plain segments, without a slash at its end. The empty path is one of none.
pub(crate) fn is_base_path(text: &str) -> bool {
    text.is_empty() || text.strip_prefix('/').is_some_and(|segments| segments.split('/').all(is_segment))
}

/// Whether it is an absolute `http` or `https` URL, without a user, a query, a fragment and a slash at its end.
pub(crate) fn is_public_url(text: &str) -> bool {
    // Only what is written in ASCII can be written in a header.
    let Ok(url) = text.parse::<Uri>() else { return false };
    matches!(url.scheme_str(), Some("http" | "https"))
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && url.authority().is_some_and(is_host)
        && !text.contains(['?', '#'])
        && is_base_path(url.path().strip_suffix('/').unwrap_or(url.path()))
}

/// Whether it is a host, maybe with a port, and nothing else.
fn is_host(authority: &Authority) -> bool {
    let whole = authority.as_str();
    !whole.contains('@') && (whole == authority.host() || authority.port_u16().is_some())
}

/// Whether the text is a path segment (RFC 3986, section 3.3) that no router takes for a pattern.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && !text.starts_with([':', '*'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_paths() {
        for path in ["", "/operations", "/v1/operations", "/a.b/c~d", "/a:b"] {
            assert!(is_base_path(path), "{path}");
        }
        for path in [
            "operations",
            "/",
            "/a/",
            "//a",
            "/a//b",
            "/../x",
            "/.",
            "/{id}",
            "/:id",
            "/*x",
            "/a b",
            "/\u{f6}ps",
            "/a%zz",
            "/a?b",
        ] {
            assert!(!is_base_path(path), "{path}");
        }
    }

    #[test]
    fn public_urls() {
        for url in
            ["https://api.example.com", "http://[::1]:8080", "https://example.com/v1/api", "http://localhost:3000"]
        {
            assert!(is_public_url(url), "{url}");
        }
        for url in [
            "example.com",
            "ftp://example.com",
            "https://user@example.com",
            "https://example.com?a",
            "https://example.com#a",
            "https://example.com/\u{e9}",
            "https://x:",
            "https://x:99999",
            "https://x/../y",
            "https://x/{a}",
            "https://",
        ] {
            assert!(!is_public_url(url), "{url}");
        }
    }
}
