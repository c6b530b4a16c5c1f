//! Where an address can be reached from, and which peers are handed out to which clients.
//!
//! # What an attacker controls
//! A peer's address is the source address of its announce, with a connection_id that was sent to that address. So an
//! address of a private network is announced from that network, or comes through a trusted proxy, a gateway in
//! `trusted_ip_sources`, or another tracker. To clients elsewhere it is useless at best: it may be the address of a
//! machine in their own network. So it is handed out only to clients whose own address has the same scope, or that are on
//! this machine.
//!
//! The ranges are those of IANA's registries of special-purpose addresses (RFC 6890 and its updates) that are not
//! globally reachable, multicast, and what is not assigned for global use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// From where an address can be reached.
///
/// Several ranges of the same use are one scope: a site's routers connect them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everywhere.
    Global,
    /// The same machine: 127.0.0.0/8, ::1.
    Loopback,
    /// The same link: 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// A private network: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7.
    Private,
    /// Between a provider's address translation and its customers: 100.64.0.0/10.
    Shared,
    /// Examples: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// Benchmarks in laboratories: 198.18.0.0/15, 2001:2::/48.
    Benchmarking,
    /// Other ranges that are not for global use, such as 240.0.0.0/4.
    Reserved,
}

impl Scope {
    /// The scope of an address in canonical form; `None` if no host can have it: 0.0.0.0/8, ::, multicast, broadcast.
    pub(crate) fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    pub(crate) fn of_v4(address: Ipv4Addr) -> Option<Self> {
        Some(match address.octets() {
            [0 | 224..=239, ..] | [255, 255, 255, 255] => return None,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [100, 64..=127, ..] => Self::Shared,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Documentation,
            [198, 18..=19, ..] => Self::Benchmarking,
            // Protocol assignments, the former anycast of 6to4, and class E.
            [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Self::Reserved,
            _ => Self::Global,
        })
    }

    pub(crate) fn of_v6(address: Ipv6Addr) -> Option<Self> {
        Some(match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => return None,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff, ..] => Self::Private,
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Self::Documentation,
            [0x2001, 2, 0, ..] => Self::Benchmarking,
            // Protocol assignments except Teredo, 2001::/32.
            [0x2001, 1..=0x1ff, ..] => Self::Reserved,
            // 6to4 and NAT64: as global as the IPv4 address inside.
            [0x2002, high, low, ..] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let inside = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
                if Self::of_v4(inside) == Some(Self::Global) { Self::Global } else { Self::Reserved }
            }
            [0x2000..=0x3fff, ..] => Self::Global,
            _ => Self::Reserved,
        })
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The scopes of the peers that a client of this scope may get, as bits.
    const fn reachable(self) -> u8 {
        match self {
            // A client on this machine reaches what the machine reaches, and nobody else has such an address.
            Self::Loopback => u8::MAX,
            own => Self::Global.bit() | own.bit(),
        }
    }
}

/// The scopes of all peers that were ever stored. While all have the scope of the client that asks, or are global,
/// nothing has to be filtered: on most trackers, always.
///
/// All threads read it for each announce; it is written when a scope occurs for the first time.
#[derive(Debug, Default)]
pub(crate) struct Scopes(AtomicU8);

impl Scopes {
    /// Notes that a peer of this scope will be stored.
    pub(crate) fn note(&self, scope: Scope) {
        if self.0.load(Relaxed) & scope.bit() == 0 {
            self.0.fetch_or(scope.bit(), Relaxed);
        }
    }

    /// Notes that peers of any scope may be stored.
    pub(crate) fn note_all(&self) {
        self.0.store(u8::MAX, Relaxed);
    }

    /// Keeps the peers of a sample that a client of this scope may get, in their order. Returns how many there are.
    ///
    /// Call it after the sample was taken: whoever has stored a peer in it has noted its scope before.
    pub(crate) fn keep_visible<const N: usize>(
        &self,
        client: Scope,
        peers: &mut [[u8; N]],
        scope_of: impl Fn([u8; N]) -> Option<Scope>,
    ) -> usize {
        let reachable = client.reachable();
        if self.0.load(Relaxed) & !reachable == 0 {
            return peers.len();
        }
        let mut kept = 0;
        for at in 0..peers.len() {
            if scope_of(peers[at]).is_some_and(|scope| scope.bit() & reachable != 0) {
                peers[kept] = peers[at];
                kept += 1;
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;
    use proptest::prelude::*;

    /// IANA's registries of special-purpose addresses as of 2025, without the entries that are globally reachable and
    /// with multicast; then what the expected scope is.
    const SPECIAL: [(&str, Option<Scope>); 34] = [
        ("0.0.0.0/8", None),
        ("224.0.0.0/4", None),
        ("255.255.255.255/32", None),
        ("::/128", None),
        ("ff00::/8", None),
        ("10.0.0.0/8", Some(Scope::Private)),
        ("172.16.0.0/12", Some(Scope::Private)),
        ("192.168.0.0/16", Some(Scope::Private)),
        ("fc00::/7", Some(Scope::Private)),
        ("100.64.0.0/10", Some(Scope::Shared)),
        ("127.0.0.0/8", Some(Scope::Loopback)),
        ("::1/128", Some(Scope::Loopback)),
        ("169.254.0.0/16", Some(Scope::LinkLocal)),
        ("fe80::/10", Some(Scope::LinkLocal)),
        ("192.0.2.0/24", Some(Scope::Documentation)),
        ("198.51.100.0/24", Some(Scope::Documentation)),
        ("203.0.113.0/24", Some(Scope::Documentation)),
        ("2001:db8::/32", Some(Scope::Documentation)),
        ("3fff::/20", Some(Scope::Documentation)),
        ("198.18.0.0/15", Some(Scope::Benchmarking)),
        ("2001:2::/48", Some(Scope::Benchmarking)),
        ("192.0.0.0/24", Some(Scope::Reserved)),
        ("192.88.99.0/24", Some(Scope::Reserved)),
        ("240.0.0.0/5", Some(Scope::Reserved)),
        ("254.0.0.0/8", Some(Scope::Reserved)),
        ("64:ff9b:1::/48", Some(Scope::Reserved)),
        ("64:ff9b::10.0.0.0/104", Some(Scope::Reserved)),
        ("100::/64", Some(Scope::Reserved)),
        ("100:0:0:1::/64", Some(Scope::Reserved)),
        ("2001:10::/28", Some(Scope::Reserved)),
        ("2002:a00::/24", Some(Scope::Reserved)),
        ("2002:e000::/20", Some(Scope::Reserved)),
        ("5f00::/16", Some(Scope::Reserved)),
        ("fec0::/10", Some(Scope::Reserved)),
    ];

    /// Next to special ranges, or global within them.
    const GLOBAL: [&str; 26] = [
        "1.0.0.0/8",
        "9.255.255.255/32",
        "11.0.0.0/32",
        "100.63.255.255/32",
        "100.128.0.0/32",
        "126.255.255.255/32",
        "128.0.0.0/32",
        "169.253.255.255/32",
        "169.255.0.0/32",
        "172.15.255.255/32",
        "172.32.0.0/32",
        "192.0.1.0/24",
        "192.0.3.0/32",
        "192.31.196.0/24",
        "192.167.255.255/32",
        "192.169.0.0/32",
        "198.17.255.255/32",
        "198.20.0.0/32",
        "198.51.99.255/32",
        "203.0.114.0/32",
        "223.255.255.255/32",
        "2001:4860::/32",
        "2001::/32",
        "2a00::/12",
        "64:ff9b::8.0.0.0/104",
        "2002:808::/32",
    ];

    fn ends(network: &str) -> [IpAddr; 2] {
        let network: IpNet = network.parse().unwrap();
        [network.network(), network.broadcast()]
    }

    #[test]
    fn follows_the_registries_of_special_addresses() {
        for (network, expected) in SPECIAL {
            assert_eq!(ends(network).map(Scope::of), [expected; 2], "{network}");
        }
        for network in GLOBAL {
            assert_eq!(ends(network).map(Scope::of), [Some(Scope::Global); 2], "{network}");
        }
    }

    proptest! {
        /// Against a search of the table.
        #[test]
        fn any_address_has_the_scope_of_its_range(v4: u32, v6: u128, at in 0..SPECIAL.len(), inside: u128) {
            let network: IpNet = SPECIAL[at].0.parse().unwrap();
            let within = match network {
                IpNet::V4(network) => {
                    let host = u32::try_from(inside & u128::from(network.hostmask().to_bits())).unwrap();
                    Ipv4Addr::from_bits(network.network().to_bits() | host).into()
                }
                IpNet::V6(network) => {
                    let host = inside & network.hostmask().to_bits();
                    IpAddr::from(Ipv6Addr::from_bits(network.network().to_bits() | host))
                }
            };
            prop_assert_eq!(Scope::of(within), SPECIAL[at].1, "{}", within);
            let listed = SPECIAL.iter().any(|(network, _)| {
                network.parse::<IpNet>().unwrap().contains(&IpAddr::from(Ipv4Addr::from_bits(v4)))
            });
            let v4 = Ipv4Addr::from_bits(v4);
            let class_e = v4.octets()[0] >= 240;
            prop_assert_eq!(Scope::of_v4(v4) != Some(Scope::Global), listed || class_e, "{}", v4);
            let v6 = Ipv6Addr::from_bits(v6 >> 3 | 1 << 125);
            let in_list = |list: &[&str]| list.iter().any(|net| net.parse::<IpNet>().unwrap().contains(&IpAddr::from(v6)));
            let listed = SPECIAL.iter().any(|(network, _)| in_list(&[network]));
            let partly_special = in_list(&["2001::/23", "2002::/16"]);
            prop_assert!(!listed || Scope::of_v6(v6) != Some(Scope::Global), "{}", v6);
            prop_assert!(listed || partly_special || Scope::of_v6(v6) == Some(Scope::Global), "{}", v6);
        }
    }

    const PEERS: [[u8; 4]; 4] = [[8, 8, 8, 8], [10, 0, 0, 1], [192, 168, 0, 1], [127, 0, 0, 1]];

    fn visible(noted: &[Scope], client: Scope) -> Vec<[u8; 4]> {
        let scopes = Scopes::default();
        noted.iter().for_each(|scope| scopes.note(*scope));
        let mut peers = PEERS;
        let kept = scopes.keep_visible(client, &mut peers, |peer| Scope::of_v4(peer.into()));
        peers[..kept].to_vec()
    }

    #[test]
    fn clients_get_global_peers_and_those_of_their_own_scope() {
        let all = [Scope::Global, Scope::Private, Scope::Loopback];
        assert_eq!(visible(&all, Scope::Global), [PEERS[0]]);
        assert_eq!(visible(&all, Scope::Private), PEERS[..3]);
        assert_eq!(visible(&all, Scope::Loopback), PEERS);
        assert_eq!(visible(&all, Scope::Shared), [PEERS[0]]);
    }

    #[test]
    fn looks_at_the_peers_only_when_there_are_others() {
        assert_eq!(visible(&[Scope::Global, Scope::Private], Scope::Private), PEERS);
        assert_eq!(visible(&[Scope::Private], Scope::Global), [PEERS[0]]);
        let scopes = Scopes::default();
        scopes.note_all();
        let kept = scopes.keep_visible(Scope::Global, &mut PEERS.clone(), |peer| Scope::of_v4(peer.into()));
        assert_eq!(kept, 1);
    }
}
