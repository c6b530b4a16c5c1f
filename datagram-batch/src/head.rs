//! The metadata of a received datagram.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

/// An address of this machine: the destination of a received datagram, or the source of one to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalAddress {
    /// The address. A dual-stack socket has an IPv4 address mapped to IPv6, as `::ffff:192.0.2.1`.
    pub ip: IpAddr,
    /// The index of the network interface, as if_nametoindex(3) returns it; 0 for any. When sending, it is used only
    /// with link-local IPv6 addresses, which are ambiguous without it. For other addresses the route to a peer may use
    /// another interface than the one that received the peer's datagram.
    pub interface: u32,
}

impl From<IpAddr> for LocalAddress {
    fn from(ip: IpAddr) -> Self {
        Self { ip, interface: 0 }
    }
}

/// A datagram's metadata, from the system call that received it.
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

/// Stands for a source that is neither IPv4 nor IPv6, which a UDP socket never has.
pub(crate) const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What a system call received.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) datagrams: usize,
    pub(crate) dropped: Option<u32>,
    /// When the first one arrived.
    pub(crate) arrived: Option<SystemTime>,
}
