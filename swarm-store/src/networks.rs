//! How many peers of each network a store holds.
//!
//! # What an attacker controls, and what it doesn't
//! A tracker stores only peers that have shown that they receive at their address. So an attacker can choose info_hashes,
//! ports and the number of requests, but not the networks: it has one (an IPv4 /24; an IPv6 /64, or a /48 with 65,536
//! of them, or a provider's /32), or some thousands of rented or infected hosts. What it puts into the store is charged
//! to these networks, so that networks can be compared when memory ends.
//!
//! # The table
//! Each stored peer counts 1 for its network, from when it is inserted until it is removed: nothing is estimated from
//! the past, and an announce that refreshes a peer writes nothing here. There is no entry for each network, which an
//! attacker could fill, but two rows of counters. A network has a counter in each row, which a keyed hash selects, and
//! the smaller one counts. It is never less than the number of the network's peers. It is more if in both rows another
//! network has the same counter: beside `A` networks that hold much, another one is taken for such a network with the
//! probability `(A / CELLS)^2`. With [`MOST_CELLS`] this is 1 in 68,000 for a thousand networks. Nobody can aim at the
//! counters of others without the key.
//!
//! # IPv6
//! Addresses are charged to their /64, their /48 and their /32. A /48 may hold as much as sixteen /64s, and a /32 as much
//! as sixteen /48s. So who has a /48 gains a factor of sixteen by its 65,536 networks, not of 65,536.

use crate::Limits;
use crate::hash::Hasher;
use crate::memory::{Memory, allocated};
use crate::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Counters of a row.
const MOST_CELLS: usize = if cfg!(shuttle) { FEWEST_CELLS } else { 1 << 18 };
const FEWEST_CELLS: usize = 1 << 8;
/// So many of the peers that a store may hold share a counter.
const PEERS_A_CELL: usize = 16;
/// So many bytes that it may take. A counter of each row has 8.
const BYTES_A_CELL: usize = 1 << 10;

/// The prefixes by which addresses of `N - 2` bytes are charged, in bytes, and how many networks of the first length each
/// counts as.
const fn prefixes<const N: usize>() -> &'static [(usize, u32)] {
    match N {
        18 => &[(8, 1), (6, 16), (4, 256)],
        _ => &[(3, 1)],
    }
}

#[derive(Debug)]
pub(crate) struct Networks<const N: usize> {
    hasher: Hasher,
    rows: [Box<[AtomicU32]>; 2],
}

impl<const N: usize> Networks<N> {
    pub(crate) fn new(hasher: Hasher, limits: &Limits, memory: &Memory) -> Self {
        let most = (limits.torrents.min(limits.peers) / PEERS_A_CELL).min(memory.ceiling() / BYTES_A_CELL);
        let cells = most.clamp(FEWEST_CELLS, MOST_CELLS).next_power_of_two();
        let row = || std::iter::repeat_with(|| AtomicU32::new(0)).take(cells).collect();
        Self { hasher, rows: [row(), row()] }
    }

    /// The memory of the counters.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.iter().map(|row| allocated(size_of_val(&**row))).sum()
    }

    /// Counts a peer that is stored now.
    pub(crate) fn add(&self, peer: &[u8; N]) {
        self.count(peer, 1);
    }

    /// Counts a peer that is not stored any more.
    pub(crate) fn remove(&self, peer: &[u8; N]) {
        self.count(peer, u32::MAX);
    }

    fn count(&self, peer: &[u8; N], change: u32) {
        if is_local(peer) {
            return;
        }
        for (len, _) in prefixes::<N>() {
            for cell in self.cells(peer, *len) {
                cell.fetch_add(change, Relaxed);
            }
        }
    }

    /// How many peers the network of a peer holds, or a few more. 0 for a local address.
    pub(crate) fn held(&self, peer: &[u8; N]) -> u32 {
        if is_local(peer) {
            return 0;
        }
        let held = |(len, share): &(usize, u32)| {
            let [a, b] = self.cells(peer, *len).map(|cell| cell.load(Relaxed));
            a.min(b) / share
        };
        prefixes::<N>().iter().map(held).max().unwrap_or(0)
    }

    fn cells(&self, peer: &[u8; N], len: usize) -> [&AtomicU32; 2] {
        // The length too, so that the prefixes of an address have different hashes.
        let mut prefix = [0; 9];
        prefix[0] = u8::try_from(len).unwrap_or_default();
        prefix[1..=len].copy_from_slice(&peer[..len]);
        let [a, b, c, d, e, f, g, h] = self.hasher.hash(&prefix).to_le_bytes();
        let cell = |row: usize, hash: [u8; 4]| {
            let row = &self.rows[row];
            &row[u32::from_le_bytes(hash) as usize & (row.len() - 1)]
        };
        [cell(0, [a, b, c, d]), cell(1, [e, f, g, h])]
    }
}

/// Whether an address is not one of the internet: loopback, private, link-local, or of a provider's own address
/// translation. Who announces from there is known to the operator, and may be a gateway before everybody else. So these
/// networks have no limits, and no share.
pub(crate) fn is_local<const N: usize>(peer: &[u8; N]) -> bool {
    match (N, peer[0], peer[1]) {
        (18, 0xfe, second) => second & 0xc0 == 0x80,
        (18, first, _) => first & 0xfe == 0xfc || peer[..15] == [0; 15],
        (_, 10 | 127, _) | (_, 192, 168) | (_, 169, 254) => true,
        (_, 172, second) => second & 0xf0 == 16,
        (_, 100, second) => second & 0xc0 == 64,
        _ => false,
    }
}

/// Whether the network of `peer` may have one more of these peers, beside those that are there, if it may have `most`.
/// IPv6: a /64 may have that many, a /48 four times as many.
pub(crate) fn may_add<'a, const N: usize>(
    peer: &[u8; N],
    others: impl Iterator<Item = &'a [u8; N]>,
    most: usize,
) -> bool {
    let (len, wide) = if N == 18 { (8, 6) } else { (3, 3) };
    let (mut same, mut near) = (0, 0);
    for other in others {
        near += usize::from(other[..wide] == peer[..wide]);
        same += usize::from(other[..len] == peer[..len]);
    }
    same < most && (N != 18 || near < most.saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(address: [u8; 4]) -> [u8; 6] {
        let [a, b, c, d] = address;
        [a, b, c, d, 1, 1]
    }

    fn v6(address: &str) -> [u8; 18] {
        let mut peer = [1; 18];
        let address: std::net::Ipv6Addr = address.parse().expect("an address");
        peer[..16].copy_from_slice(&address.octets());
        peer
    }

    fn networks<const N: usize>() -> Networks<N> {
        Networks::new(Hasher::with_key([1, 2]), &Limits::default(), &Memory::unlimited())
    }

    #[test]
    fn counts_the_peers_of_a_slash_24() {
        let networks = networks();
        for host in 0..200 {
            networks.add(&v4([192, 0, 2, host]));
        }
        assert_eq!((networks.held(&v4([192, 0, 2, 250])), networks.held(&v4([192, 0, 3, 1]))), (200, 0));
        for host in 0..200 {
            networks.remove(&v4([192, 0, 2, host]));
        }
        assert!(networks.rows.iter().flatten().all(|cell| cell.load(Relaxed) == 0));
    }

    #[test]
    fn a_slash_48_counts_as_sixteen_networks() {
        let networks = networks();
        for network in 0..3200 {
            networks.add(&v6(&format!("2001:db8:1:{network:x}::1")));
        }
        assert_eq!(networks.held(&v6("2001:db8:1:ffff::1")), 200);
        assert_eq!(networks.held(&v6("2001:db8:2::1")), 3200 / 256);
        for _ in 0..1000 {
            networks.add(&v6("2001:db9::1"));
        }
        assert_eq!(networks.held(&v6("2001:db9::2")), 1000);
    }

    /// The counters of networks that hold nothing, beside a thousand that hold much: the documented probability is 1 in
    /// 68,000, so that 10,000 have less than one on average, and more than five once in 10^7 keys.
    #[test]
    fn few_networks_are_taken_for_others() {
        let networks = networks();
        for heavy in 0..1000u32 {
            let [.., b, c] = heavy.to_be_bytes();
            for _ in 0..100 {
                networks.add(&v4([198, b, c, 1]));
            }
        }
        let light = (0..10_000u32).map(u32::to_be_bytes).map(|[.., b, c]| v4([203, b, c, 1]));
        let mistaken = light.filter(|peer| networks.held(peer) >= 100).count();
        assert!(mistaken <= 5, "{mistaken}");
    }

    #[test]
    fn local_addresses_are_not_counted() {
        let local = [
            [127, 0, 0, 1],
            [10, 9, 8, 7],
            [172, 31, 0, 1],
            [192, 168, 0, 1],
            [169, 254, 1, 1],
            [100, 64, 0, 1],
        ];
        assert!(local.into_iter().all(|address| is_local(&v4(address))));
        let global = [[172, 32, 0, 1], [192, 0, 2, 1], [100, 128, 0, 1], [8, 8, 8, 8], [0, 0, 0, 1]];
        assert!(!global.into_iter().any(|address| is_local(&v4(address))));
        assert!(["::1", "fe80::1", "fd00::1", "fc01::1"].into_iter().all(|address| is_local(&v6(address))));
        assert!(!["2001:db8::1", "fec0::1", "64:ff9b::1"].into_iter().any(|address| is_local(&v6(address))));
        let networks = networks();
        networks.add(&v4([127, 0, 0, 1]));
        assert_eq!(networks.held(&v4([127, 0, 0, 1])), 0);
    }

    #[test]
    fn a_network_may_add_up_to_its_part() {
        let others: Vec<_> = (0..10).map(|host| v4([192, 0, 2, host])).collect();
        assert!(may_add(&v4([192, 0, 2, 99]), others.iter(), 11));
        assert!(!may_add(&v4([192, 0, 2, 99]), others.iter(), 10));
        assert!(may_add(&v4([192, 0, 3, 99]), others.iter(), 1));
        let others: Vec<_> = (0..40).map(|network| v6(&format!("2001:db8:0:{network:x}::1"))).collect();
        assert!(may_add(&v6("2001:db8:0:ff::1"), others.iter(), 11));
        assert!(!may_add(&v6("2001:db8:0:ff::1"), others.iter(), 10));
    }
}
