//! Endpoints in compact form: the address, then the port, in network byte order; 6 bytes for IPv4, 18 for IPv6
//! (BEP 15, BEP 7).
//!
//! The bytes of a list don't show which of the two forms it has: the address family of the socket decides.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Bytes of an IPv4 endpoint.
pub const V4: usize = 6;
/// Bytes of an IPv6 endpoint.
pub const V6: usize = 18;

/// The compact form of an IPv4 endpoint.
#[must_use]
pub const fn from_v4(endpoint: SocketAddrV4) -> [u8; V4] {
    let [a, b, c, d] = endpoint.ip().octets();
    let [high, low] = endpoint.port().to_be_bytes();
    [a, b, c, d, high, low]
}

/// The IPv4 endpoint of a compact form.
#[must_use]
pub const fn to_v4([a, b, c, d, high, low]: [u8; V4]) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))
}

/// The compact form of an IPv6 endpoint; the flow label and the scope are dropped.
#[must_use]
pub fn from_v6(endpoint: SocketAddrV6) -> [u8; V6] {
    let mut bytes = [0; V6];
    bytes[..16].copy_from_slice(&endpoint.ip().octets());
    bytes[16..].copy_from_slice(&endpoint.port().to_be_bytes());
    bytes
}

/// The IPv6 endpoint of a compact form.
#[must_use]
pub fn to_v6(bytes: [u8; V6]) -> SocketAddrV6 {
    let [ip @ .., high, low] = bytes;
    SocketAddrV6::new(Ipv6Addr::from_octets(ip), u16::from_be_bytes([high, low]), 0, 0)
}

/// A borrowed list of peers, of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers<'a> {
    /// From an IPv4 socket.
    V4(&'a [[u8; V4]]),
    /// From an IPv6 socket.
    V6(&'a [[u8; V6]]),
}

impl<'a> Peers<'a> {
    /// Number of peers.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::V4(peers) => peers.len(),
            Self::V6(peers) => peers.len(),
        }
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The peers' addresses, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let (v4, v6): (&[_], &[_]) = match *self {
            Self::V4(peers) => (peers, &[]),
            Self::V6(peers) => (&[], peers),
        };
        let v4 = v4.iter().map(|peer| SocketAddr::V4(to_v4(*peer)));
        let v6 = v6.iter().map(|peer| SocketAddr::V6(to_v6(*peer)));
        v4.chain(v6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn converts_ipv4_endpoints() {
        let endpoint = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 1), 0x1ae4);
        assert_eq!(from_v4(endpoint), hex!("7f000001 1ae4"));
        assert_eq!(to_v4(hex!("7f000001 1ae4")), endpoint);
    }

    #[test]
    fn converts_ipv6_endpoints() {
        let endpoint: SocketAddrV6 = "[2001:db8::1]:6881".parse().unwrap();
        let bytes = hex!("20010db8000000000000000000000001 1ae1");
        assert_eq!(from_v6(endpoint), bytes);
        assert_eq!(to_v6(bytes), endpoint);
    }
}
