//! Address families. Swarms of IPv4 peers and of IPv6 peers are apart (BEP 7).

use std::net::IpAddr;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, which includes IPv4 addresses in the form of IPv6 (`::ffff:192.0.2.1`).
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// IPv4, then IPv6.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family that an address counts to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// As in the label `family` of metrics: `ipv4` or `ipv6`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}
