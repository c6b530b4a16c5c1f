//! Networks: the addresses that one host can be expected to have at its disposal.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

/// A network of 256 IPv4 addresses, or an IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// The bits of the prefix, with zeros after them.
    bits: u64,
    prefix_len: u8,
}

impl Network {
    /// What one customer has at least: the /24 or the /64 of an address in canonical form.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self { bits: u64::from(address.to_bits() >> 8 << 8), prefix_len: 24 },
            IpAddr::V6(address) => Self::v6(address.to_bits(), 64),
        }
    }

    /// What one site has, and what anybody can get for free: the /24 or the /48 of an address in canonical form.
    pub(crate) fn site_of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::of(address),
            IpAddr::V6(address) => Self::v6(address.to_bits(), 48),
        }
    }

    fn v6(address: u128, prefix_len: u8) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = address.to_be_bytes();
        let bits = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self { bits: bits & u64::MAX << (64 - prefix_len), prefix_len }
    }

    /// A hash that nobody without the hasher's key can predict.
    pub(crate) fn hash(self, hasher: &SipHasher13) -> u64 {
        let mut hasher = *hasher;
        hasher.write(&self.bits.to_ne_bytes());
        hasher.write(&[self.prefix_len]);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_the_same() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        let site_of = |text: &str| Network::site_of(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.255"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("192.0.2.1"), site_of("192.0.2.9"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(site_of("2001:db8:0:1::1"), site_of("2001:db8:0:ffff::1"));
        assert_ne!(site_of("2001:db8:0:1::1"), site_of("2001:db8:1:1::1"));
        // A /48 and the first /64 in it.
        assert_ne!(of("2001:db8::1"), site_of("2001:db8::1"));
    }
}
