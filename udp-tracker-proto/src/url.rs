//! The URL of a tracker: `udp://host[:port][/path][?query]`.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use nom::bytes::complete::{tag, take_till, take_while};
use nom::character::complete::char;
use nom::combinator::{opt, rest};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// The port of a URL without one.
pub const DEFAULT_PORT: u16 = 80;

/// The host in a tracker's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// A host name, not resolved.
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; in brackets in the URL.
    V6(Ipv6Addr),
}

/// A tracker's host and port, and the path and query of its URL, which announces contain.
///
/// ```
/// use udp_tracker_proto::{Host, TrackerUrl};
///
/// let url = TrackerUrl::parse("udp://tracker.example.com:6969/announce?key=1")?;
/// assert_eq!(url.host, Host::Name("tracker.example.com"));
/// assert_eq!((url.port, url.path_and_query), (6969, "/announce?key=1"));
/// # Ok::<(), udp_tracker_proto::UrlError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrackerUrl<'a> {
    /// The name or address.
    pub host: Host<'a>,
    /// UDP port; [`DEFAULT_PORT`] when the URL has none.
    pub port: u16,
    /// The rest of the URL from the `/` or `?` on, without a fragment; may be empty. For the URLData option of BEP 41.
    pub path_and_query: &'a str,
}

/// Why a text is not the URL of a UDP tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another scheme, such as `http`.
    #[error("not a UDP tracker's URL: udp://host:port expected")]
    Scheme,
    /// No host, or one with white space, control characters or a user name.
    #[error("invalid host name: udp://host:port expected")]
    Host,
    /// Brackets without an IPv6 address in them, or an IPv6 address without brackets.
    #[error("an IPv6 address in brackets expected: udp://[2001:db8::1]:port")]
    Ipv6,
    /// A port that is not a number from 1 to 65535.
    #[error("invalid port: 1 to 65535 expected")]
    Port,
}

impl<'a> TrackerUrl<'a> {
    /// Reads a URL; `host` and `host:port` without a scheme are accepted too. A fragment (`#..`) is dropped.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &'a str) -> Result<Self, UrlError> {
        let (text, scheme) = opt_scheme(text).map_err(|_| UrlError::Scheme)?;
        if scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("udp")) {
            return Err(UrlError::Scheme);
        }
        let (tail, authority) = authority(text).map_err(|_| UrlError::Host)?;
        let (_, path_and_query) =
            take_till::<_, _, ()>(|c| c == '#').parse(tail).map_err(|_| UrlError::Host)?;
        let (host, port) = if authority.starts_with('[') {
            let (port, address) = bracketed(authority).map_err(|_| UrlError::Ipv6)?;
            (Host::V6(address.parse().map_err(|_| UrlError::Ipv6)?), port)
        } else {
            let (port, name) = name(authority).map_err(|_| UrlError::Host)?;
            (name.parse().map_or(Host::Name(name), Host::V4), port)
        };
        let bad_in_name =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '[' | ']' | '\\');
        match host {
            Host::Name(name) if name.is_empty() || name.contains(bad_in_name) => return Err(UrlError::Host),
            Host::Name(_) if port.matches(':').count() > 1 => return Err(UrlError::Ipv6),
            _ => {}
        }
        Ok(Self { host, port: parse_port(port)?, path_and_query })
    }
}

impl fmt::Display for Host<'_> {
    /// As in a URL: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for TrackerUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp://{}:{}{}", self.host, self.port, self.path_and_query)
    }
}

fn opt_scheme(text: &str) -> IResult<&str, Option<&str>> {
    let scheme = take_while(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    opt(terminated(scheme, tag("://"))).parse(text)
}

fn authority(text: &str) -> IResult<&str, &str> {
    take_till(|c| matches!(c, '/' | '?' | '#')).parse(text)
}

/// The address between brackets, and what follows them.
fn bracketed(authority: &str) -> IResult<&str, &str> {
    delimited(char('['), take_while(|c| c != ']'), char(']')).parse(authority)
}

fn name(authority: &str) -> IResult<&str, &str> {
    take_till(|c| c == ':').parse(authority)
}

/// `""` or `":port"`.
fn parse_port(text: &str) -> Result<u16, UrlError> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    let (_, digits) = preceded(char(':'), rest::<_, ()>).parse(text).map_err(|_| UrlError::Port)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError::Port); // `parse` would take a sign
    }
    digits.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    fn parse(text: &str) -> (Host<'_>, u16, &str) {
        let url = TrackerUrl::parse(text).unwrap();
        (url.host, url.port, url.path_and_query)
    }

    #[test]
    fn parses_optional_scheme_port_path_and_query() {
        let name = Host::Name("tracker.example.com");
        assert_eq!(parse("udp://tracker.example.com:80/dir?a=b&c=d"), (name, 80, "/dir?a=b&c=d"));
        assert_eq!(parse("UDP://tracker.example.com:6969"), (name, 6969, ""));
        assert_eq!(parse("udp://tracker.example.com/announce"), (name, 80, "/announce"));
        assert_eq!(parse("udp://tracker.example.com?key=1#part"), (name, 80, "?key=1"));
        assert_eq!(parse("tracker.example.com:6969"), (name, 6969, ""));
        assert_eq!(parse("tracker.example.com"), (name, 80, ""));
        assert_eq!(parse("tracker.example.com:6969/to?url=http://a"), (name, 6969, "/to?url=http://a"));
    }

    #[test]
    fn parses_ip_addresses() {
        assert_eq!(parse("udp://192.0.2.1:6969/a"), (Host::V4(Ipv4Addr::new(192, 0, 2, 1)), 6969, "/a"));
        let v6 = Host::V6("2001:db8::1".parse().unwrap());
        assert_eq!(parse("udp://[2001:db8::1]:6969/a"), (v6, 6969, "/a"));
        assert_eq!(parse("[2001:db8::1]"), (v6, 80, ""));
    }

    #[test]
    fn rejects_invalid_urls() {
        for (text, error) in [
            ("http://tracker.example.com:6969", UrlError::Scheme),
            ("", UrlError::Host),
            ("udp://", UrlError::Host),
            ("udp://:6969", UrlError::Host),
            ("udp://user@host:6969", UrlError::Host),
            ("udp://ho st:6969", UrlError::Host),
            ("udp://host:", UrlError::Port),
            ("udp://host:0", UrlError::Port),
            ("udp://host:+80", UrlError::Port),
            ("udp://host:65536", UrlError::Port),
            ("udp://[2001:db8::1]6969", UrlError::Port),
            ("udp://[2001:db8::1", UrlError::Ipv6),
            ("udp://[host]:80", UrlError::Ipv6),
            ("udp://2001:db8::1", UrlError::Ipv6),
        ] {
            assert_eq!(TrackerUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn displays_all_parts() {
        let url = TrackerUrl::parse("[2001:db8::1]/a").unwrap();
        assert_eq!(url.to_string(), "udp://[2001:db8::1]:80/a");
    }
}
