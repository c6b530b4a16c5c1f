//! Which addresses the internet can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address can't be reached from the internet, by the registries of special-purpose addresses (RFC 6890 and its
/// updates); `None` if it can.
pub(super) fn not_global(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_global_v4(address),
        IpAddr::V6(address) => not_global_v6(address),
    }
}

fn not_global_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("is no host's address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("is private"),
        [100, 64..=127, ..] => Some("belongs to a provider's address translation"),
        [127, ..] => Some("is a loopback address"),
        [169, 254, ..] => Some("is a link-local address"),
        [192, 0, 0, ..] => Some("is reserved for protocols"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("is for documentation"),
        [198, 18..=19, ..] => Some("is for benchmarks"),
        [224..=239, ..] => Some("is a multicast group"),
        [240..=255, ..] => Some("is reserved"),
        _ => None,
    }
}

fn not_global_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address == Ipv6Addr::LOCALHOST {
        return Some("is the loopback address");
    }
    match address.segments() {
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("is for documentation"),
        [0x2001, 0..=0x1ff, ..] => Some("is reserved for protocols"),
        [0x2000..=0x3fff, ..] => None,
        [0xfc00..=0xfdff, ..] => Some("is private"),
        [0xfe80..=0xfebf, ..] => Some("is a link-local address"),
        [0xff00..=0xffff, ..] => Some("is a multicast group"),
        _ => Some("is outside of the global range 2000::/3"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_special_addresses() {
        let of = |text: &str| not_global(text.parse().unwrap());
        for global in
            ["1.2.3.4", "100.63.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255", "2a00::1", "2600::1"]
        {
            assert_eq!(of(global), None, "{global}");
        }
        for (special, word) in [
            ("0.0.0.0", "no host"),
            ("10.1.2.3", "private"),
            ("172.31.0.1", "private"),
            ("192.168.0.1", "private"),
            ("100.64.0.1", "translation"),
            ("127.0.0.1", "loopback"),
            ("169.254.1.1", "link-local"),
            ("192.0.2.1", "documentation"),
            ("198.18.0.1", "benchmarks"),
            ("224.0.42.5", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "outside"),
            ("::1", "loopback"),
            ("::ffff:1.2.3.4", "outside"),
            ("fd00::1", "private"),
            ("fe80::1", "link-local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("2001::1", "protocols"),
        ] {
            assert!(of(special).is_some_and(|reason| reason.contains(word)), "{special}: {:?}", of(special));
        }
    }
}
