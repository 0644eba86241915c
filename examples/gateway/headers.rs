//! What a proxy must change in the headers it passes on.

use std::{fmt::Write, net::IpAddr};

use hyper::{
    HeaderMap, Method, Request, Version,
    header::{
        CONNECTION, COOKIE, FORWARDED, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE, VIA,
    },
    http::uri::Authority,
};

use crate::refusal::Refusal;

const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes what belongs to the connection and not to the message (RFC 9110, section 7.6.1).
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = options(headers, &CONNECTION).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Makes one line of the cookies, which HTTP/2 may send in several and HTTP/1.1 must not (RFC 9113, section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Whether the request asks for a WebSocket. No other upgrade is passed on: servers may ignore them, and `h2c` would
/// hide all that follows from the gateway.
pub(crate) fn wants_websocket<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && options(request.headers(), &CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"))
        && options(request.headers(), &UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Says again, on the next connection, that this one becomes a WebSocket.
pub(crate) fn set_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// The host the client asked for. `None` in the HTTP/1.0 requests that name none.
pub(crate) fn host<B>(request: &Request<B>) -> Result<Option<Authority>, Refusal> {
    let mut lines = request.headers().get_all(HOST).iter();
    let host = match (request.uri().authority(), lines.next(), lines.next()) {
        (Some(authority), ..) => authority.clone(),
        (None, Some(line), None) => Authority::try_from(line.as_bytes()).map_err(|_| Refusal::Host)?,
        (None, None, _) if request.version() < Version::HTTP_11 => return Ok(None),
        _ => return Err(Refusal::Host),
    };
    if host.as_str().contains('@') { Err(Refusal::Host) } else { Ok(Some(host)) }
}

/// Tells the backend who asks, for which host and how, in `X-Forwarded-*` and in `Forwarded` (RFC 7239).
///
/// What is there already is removed, for anybody can write it; unless it is `trusted` because a proxy in front sets it.
/// Then that way of telling is continued, or both are, and the one left alone that the proxy does not use.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, client: IpAddr, host: Option<&Authority>, trusted: bool) {
    remove_made_up(headers, trusted);
    let forwarded = headers.contains_key(FORWARDED);
    let x_forwarded = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO].iter().any(|it| headers.contains_key(it));
    if x_forwarded || !forwarded {
        add_to_list(headers, X_FORWARDED_FOR, &client.to_string());
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        if let Some(host) = host.and_then(|host| host.as_str().parse().ok()) {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
    }
    if forwarded || !x_forwarded {
        add_to_list(headers, FORWARDED, &forwarded_element(client, host));
    }
}

/// Says that the message went through here, as gateways must (RFC 9110, section 7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, received: Version) {
    let received = match received {
        Version::HTTP_10 => "1.0 gateway",
        Version::HTTP_2 => "2 gateway",
        _ => "1.1 gateway",
    };
    add_to_list(headers, VIA, received);
}

/// Removes what clients may have written. No proxy writes these names with `_`, which many backends take for `-`.
fn remove_made_up(headers: &mut HeaderMap, trusted: bool) {
    let tells_who_asks = |name: &str| name == FORWARDED || name == "x-real-ip" || name.starts_with("x-forwarded-");
    let is_made_up = |name: &&HeaderName| {
        let name = name.as_str();
        tells_who_asks(&name.replace('_', "-")) && (!trusted || name.contains('_'))
    };
    let made_up: Vec<HeaderName> = headers.keys().filter(is_made_up).cloned().collect();
    for name in made_up {
        headers.remove(name);
    }
}

fn forwarded_element(client: IpAddr, host: Option<&Authority>) -> String {
    let mut element = match client {
        IpAddr::V4(address) => format!("for={address};proto=http"),
        IpAddr::V6(address) => format!("for=\"[{address}]\";proto=http"),
    };
    if let Some(host) = host {
        // No character of a host needs a backslash.
        let _infallible = write!(element, ";host=\"{host}\"");
    }
    element
}

/// Adds an element to a field that is a list, so that it stays one line.
fn add_to_list(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut list = Vec::new();
    for line in headers.get_all(&name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        headers.insert(name, list);
    }
}

/// The elements of a field that is a list of words.
fn options<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|option| !option.is_empty())
}
