//! Values for each address family, and conversions between IPv4 and IPv4-mapped addresses.

use core::net::{SocketAddr, SocketAddrV6};

/// An optional value for each address family.
///
/// A tracker keeps separate swarms for IPv4 and IPv6. All its addresses of one family lead to the same swarm. So a peer
/// that has both families announces twice: to the tracker's first IPv4 address and to its first IPv6 address, with the
/// same [`Announce::key`](super::Announce::key).
///
/// ```
/// use core::net::SocketAddr;
/// use udp_tracker_proto::client::PerFamily;
///
/// let resolved: [SocketAddr; 3] =
///     ["192.0.2.1:6969".parse()?, "192.0.2.2:6969".parse()?, "[2001:db8::1]:6969".parse()?];
/// let trackers: PerFamily<SocketAddr> = resolved.into_iter().collect();
/// assert!(trackers.into_iter().eq([resolved[0], resolved[2]]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PerFamily<T> {
    /// The value for IPv4.
    pub v4: Option<T>,
    /// The value for IPv6.
    pub v6: Option<T>,
}

impl<T> Default for PerFamily<T> {
    fn default() -> Self {
        Self { v4: None, v6: None }
    }
}

impl FromIterator<SocketAddr> for PerFamily<SocketAddr> {
    /// The first address of each family. An IPv4-mapped address counts as IPv4.
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(addresses: I) -> Self {
        let mut first = Self::default();
        for address in addresses {
            let address = canonical(address);
            let place = if address.is_ipv4() { &mut first.v4 } else { &mut first.v6 };
            place.get_or_insert(address);
        }
        first
    }
}

impl<T> IntoIterator for PerFamily<T> {
    type Item = T;
    type IntoIter = core::iter::Chain<core::option::IntoIter<T>, core::option::IntoIter<T>>;

    /// The value for IPv4 first.
    fn into_iter(self) -> Self::IntoIter {
        self.v4.into_iter().chain(self.v6)
    }
}

/// The form in which a dual-stack IPv6 socket sends to an address: IPv4 addresses as IPv4-mapped ones,
/// `::ffff:a.b.c.d`.
#[must_use]
pub fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        v6 => v6,
    }
}

/// The IPv4 address of an IPv4-mapped one, as a dual-stack socket reports it. Other IPv6 addresses keep their scope,
/// but not their flow label, which doesn't identify an endpoint.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => (v4, v6.port()).into(),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_the_first_address_of_each_family() {
        let addresses = |texts: &[&str]| -> PerFamily<SocketAddr> {
            texts.iter().map(|text| text.parse::<SocketAddr>().unwrap()).collect()
        };
        assert_eq!(addresses(&[]), PerFamily::default());
        let both = addresses(&["[2001:db8::1]:1", "[::ffff:192.0.2.1]:2", "192.0.2.3:3", "[2001:db8::4]:4"]);
        assert_eq!(both.v4, Some("192.0.2.1:2".parse().unwrap()));
        assert_eq!(both.v6, Some("[2001:db8::1]:1".parse().unwrap()));
    }

    #[test]
    fn canonical_reverses_mapped() {
        for text in ["192.0.2.1:6969", "[2001:db8::1]:6969"] {
            let address = text.parse().unwrap();
            assert!(mapped(address).is_ipv6());
            assert_eq!(canonical(mapped(address)), address);
        }
    }
}
