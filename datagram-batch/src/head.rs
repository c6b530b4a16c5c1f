//! What is known about a received datagram besides its bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address of this machine that a datagram came to, or that one is to leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalAddress {
    /// The address: of a socket that takes both families, an IPv4 address is mapped to IPv6, as `::ffff:192.0.2.1`.
    pub ip: IpAddr,
    /// The index of the network interface, as if_nametoindex(3) returns it; 0 for any. For sending it is only used with
    /// IPv6 addresses that are link-local, which mean nothing without it: the route to a peer may go through another
    /// interface than the one that the peer's datagram came by.
    pub interface: u32,
}

impl From<IpAddr> for LocalAddress {
    fn from(ip: IpAddr) -> Self {
        Self { ip, interface: 0 }
    }
}

/// A datagram's description, from the system call that received it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) source: SocketAddr,
    pub(crate) local: Option<LocalAddress>,
    pub(crate) len: usize,
    pub(crate) truncated: bool,
}

impl Head {
    pub(crate) const EMPTY: Self = Self { source: UNKNOWN, local: None, len: 0, truncated: false };
}

/// For a source that is neither IPv4 nor IPv6, which a UDP socket never has.
pub(crate) const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What a system call received.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) datagrams: usize,
    pub(crate) dropped: Option<u32>,
}
