//! What a client named a request by, so that it is done once however often it is sent.

use hmac_sha256::Hash;
use http::{HeaderMap, HeaderValue, Method, Uri, header};

use super::Owner;

/// An idempotency key, as a store sees it: two fingerprints (SHA-256, cut to 128 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of the owner, the method, the route and the key: the same name is the same operation.
    pub name: [u8; 16],
    /// Of the method, the target and the body: the same name for another request is a mistake.
    pub request: [u8; 16],
}

impl Key {
    /// The key `text` of this request. `sender` tells apart those who have no owner.
    pub(crate) fn new(
        owner: Option<&Owner>,
        sender: &[u8; 16],
        route: &str,
        text: &str,
        method: &Method,
        uri: &Uri,
        body: &[u8],
    ) -> Self {
        let (has_owner, method) = ([u8::from(owner.is_some())], method.as_str().as_bytes());
        let owner = owner.map_or(&sender[..], |owner| owner.as_str().as_bytes());
        // A policy that is for every path is no route of its own.
        let route = if route.starts_with('/') { route } else { uri.path() };
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        Self {
            name: fingerprint(&[&has_owner, owner, method, route.as_bytes(), text.as_bytes()]),
            request: fingerprint(&[method, target.as_bytes(), body]),
        }
    }
}

/// A fingerprint of what tells one sender from another where the application does not.
pub(crate) fn sender(headers: &HeaderMap) -> [u8; 16] {
    let identifying = [header::AUTHORIZATION, header::COOKIE];
    let values: Vec<&[u8]> = identifying
        .iter()
        .flat_map(|name| [&b"\0"[..]].into_iter().chain(headers.get_all(name).iter().map(HeaderValue::as_bytes)))
        .collect();
    fingerprint(&values)
}

/// Each part with its length, so that none can pass for two.
fn fingerprint(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Hash::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&hash.finalize()[..16]);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(owner: Option<&str>, route: &str, text: &str, method: &Method, uri: &'static str, body: &str) -> Key {
        Key::new(owner.map(Owner::new).as_ref(), &[0; 16], route, text, method, &Uri::from_static(uri), body.as_bytes())
    }

    #[test]
    fn its_scope_is_owner_method_and_route() {
        let first = key(Some("ann"), "/a/{id}", "k", &Method::POST, "/a/1", "x");
        assert_eq!(first, key(Some("ann"), "/a/{id}", "k", &Method::POST, "/a/1", "x"));
        for other in [
            key(Some("bob"), "/a/{id}", "k", &Method::POST, "/a/1", "x"),
            key(Some(""), "/a/{id}", "k", &Method::POST, "/a/1", "x"),
            key(None, "/a/{id}", "k", &Method::POST, "/a/1", "x"),
            key(Some("ann"), "/b/{id}", "k", &Method::POST, "/a/1", "x"),
            key(Some("ann"), "/a/{id}", "l", &Method::POST, "/a/1", "x"),
            key(Some("ann"), "/a/{id}", "k", &Method::PUT, "/a/1", "x"),
        ] {
            assert_ne!(first.name, other.name);
        }
        assert_ne!(key(None, "", "", &Method::POST, "/", "").name, key(Some(""), "", "", &Method::POST, "/", "").name);
    }

    #[test]
    fn without_a_pattern_each_path_is_a_route() {
        let key = |path| key(None, "default", "k", &Method::POST, path, "");
        assert_eq!(key("/a?q=1").name, key("/a?q=2").name);
        assert_ne!(key("/a").name, key("/b").name);
    }

    #[test]
    fn who_has_other_credentials_is_another_sender() {
        let sender_of = |fields: &[(header::HeaderName, &'static str)]| {
            sender(&fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect())
        };
        let ann = sender_of(&[(header::AUTHORIZATION, "ann")]);
        assert_eq!(ann, sender_of(&[(header::AUTHORIZATION, "ann"), (header::ACCEPT, "text/html")]));
        for other in [
            sender_of(&[]),
            sender_of(&[(header::AUTHORIZATION, "bob")]),
            sender_of(&[(header::COOKIE, "ann")]),
            sender_of(&[(header::AUTHORIZATION, "ann"), (header::COOKIE, "ann")]),
        ] {
            assert_ne!(ann, other);
        }
    }

    #[test]
    fn it_stands_for_one_method_target_and_body() {
        let first = key(None, "/a/{id}", "k", &Method::POST, "/a/1?q=1", "x");
        for (uri, body) in [("/a/2?q=1", "x"), ("/a/1?q=2", "x"), ("/a/1", "?q=1x"), ("/a/1?q=1", "y")] {
            let other = key(None, "/a/{id}", "k", &Method::POST, uri, body);
            assert_eq!(first.name, other.name);
            assert_ne!(first.request, other.request);
        }
    }
}
