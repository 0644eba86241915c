//! Where the client thinks it is, as the proxies in between tell it: `Forwarded` (RFC 7239) or
//! `X-Forwarded-*`.
//!
//! These fields say whatever their sender likes. They are to be read only where the operator has
//! said that a proxy in front removes or overwrites those of the client, and both families of them:
//! `Forwarded` wins wherever it is present. What is read ends up in `Location`, so it is checked as
//! strictly as if nobody had.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName};

use super::grammar::{Cursor, Pair};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// `scheme://host`, with the path of `X-Forwarded-Prefix` behind it if there is one; never with a
/// slash at the end.
///
/// Of a list, the first element counts: the proxy next to the client. The host may come from `Host`, or from the
/// request's own `authority` where there is none, when only the scheme was told. `None` when something is missing or
/// not clean.
pub(crate) fn origin(headers: &HeaderMap, authority: Option<&str>) -> Option<String> {
    let told = match headers.get(FORWARDED) {
        Some(line) => Told::by_forwarded(line.as_bytes()),
        None => Told::by_x_forwarded(headers),
    }?;
    let scheme = known_scheme(&told.scheme)?;
    let host = match &told.host {
        Some(host) => host,
        None => only_host(headers).or(authority.map(str::as_bytes))?,
    };
    let prefix = first(headers, X_FORWARDED_PREFIX).unwrap_or_default();
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    if !is_host(host) || !is_prefix(prefix) {
        return None;
    }
    String::from_utf8([scheme, b"://", host, prefix].concat()).ok()
}

struct Told<'a> {
    scheme: Cow<'a, [u8]>,
    host: Option<Cow<'a, [u8]>>,
}

impl<'a> Told<'a> {
    /// Reads the first `forwarded-element` (RFC 7239, section 4). No parameter may occur twice.
    fn by_forwarded(line: &'a [u8]) -> Option<Self> {
        let (mut scheme, mut host, mut repeated) = (None, None, false);
        let mut note = |(name, value): Pair<'a>| {
            let known = match name {
                name if name.eq_ignore_ascii_case(b"proto") => &mut scheme,
                name if name.eq_ignore_ascii_case(b"host") => &mut host,
                _ => return,
            };
            repeated |= known.replace(value.bytes().collect()).is_some();
        };
        let mut cursor = Cursor::new(line);
        if cursor.next_element() && cursor.peek() != Some(b';') {
            note(cursor.pair()?);
        }
        cursor.parameters(note)?;
        (!repeated).then_some(())?;
        Some(Self { scheme: scheme?, host })
    }

    fn by_x_forwarded(headers: &'a HeaderMap) -> Option<Self> {
        let scheme = first(headers, X_FORWARDED_PROTO)?.into();
        let host = first(headers, X_FORWARDED_HOST).map(Cow::from);
        Some(Self { scheme, host })
    }
}

/// The first element of the first line.
fn first(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let line = headers.get(name)?.as_bytes();
    line.split(|&byte| byte == b',').next().map(<[u8]>::trim_ascii)
}

fn only_host(headers: &HeaderMap) -> Option<&[u8]> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?;
    hosts.next().is_none().then_some(host.as_bytes())
}

fn known_scheme(scheme: &[u8]) -> Option<&'static [u8]> {
    let known: [&[u8]; 2] = [b"https", b"http"];
    known.into_iter().find(|known| scheme.eq_ignore_ascii_case(known))
}

/// A name, an IPv4 address or an IPv6 address in brackets, with or without a port.
fn is_host(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else {
        return false;
    };
    match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, port))) => address.parse::<Ipv6Addr>().is_ok() && is_port(port),
        Some(None) => false,
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            is_name(name.as_bytes()) && is_port(port)
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    let Some(number) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok()
}

/// Nothing, or an absolute path of plain segments: unreserved characters (RFC 3986, section 2.3)
/// and no dot segments. Percent-encoding is not for prefixes: a dot can hide in it.
fn is_prefix(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else {
        return path.is_empty();
    };
    segments.split(|&byte| byte == b'/').all(|segment| {
        !matches!(segment, b"" | b"." | b"..")
            && segment.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
    })
}

#[cfg(test)]
mod tests;
