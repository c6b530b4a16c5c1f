//! Address families. IPv4 peers and IPv6 peers have separate swarms (BEP 7).

use std::net::IpAddr;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, including IPv4 addresses mapped to IPv6 (`::ffff:192.0.2.1`).
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// IPv4, then IPv6.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The value of the metrics' label `family`: `ipv4` or `ipv6`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}
