//! The keyed hashes of info_hashes and peers.
//!
//! SipHash-1-3 is a pseudo-random function: without the key, the hashes of any inputs look like independent random
//! numbers, even if the hashes of many other inputs are known.
//!
//! # Keys
//! SipHash-2-4 of the store's secret gives a key for info_hashes, one for networks, and a key from which each large swarm gets its own
//! key, by a counter. A swarm that shrinks and becomes large again gets a new key. So knowledge about one swarm's
//! blocks is of no use for another swarm.
//!
//! # What an observer of replies can learn
//! - About the hashes of info_hashes: nothing. No reply depends on the order of torrents.
//! - In swarms that are not large: nothing. Their peers are not hashed.
//! - In a large swarm, the peers of a reply are neighbours in one block, or in a block and the next ones. So an
//!   observer of many samples can find out which peers share a block, that is, whose hashes end with the same bits.
//!   Their order inside a block comes from the caller's random source. Where there is none, because blocks are joined
//!   during a sweep, it comes from the hash of a longer input, which is independent of the hash that selects the block.
//!
//! This is of little use. From hashes of a pseudo-random function, or some of their bits, neither the key can be
//! computed nor the hash of an address that was not tried. An attacker can still announce addresses to one large swarm,
//! observe their blocks, and keep those that share a block. This fills a block up to its limit,
//! [`Block::MOST`](crate::block::Block::MOST), with which a search still takes a fraction of a microsecond. New peers
//! whose hash selects a full block are not stored. In a swarm of `n` peers these are one in `n / 64`, for as long as
//! the addresses are announced. To fill all blocks takes as many addresses as the swarm has peers.
//!
//! No bound on time or memory relies on the keys: the cost of an announce is limited whatever the hashes are.

use std::hash::Hasher as _;

use siphasher::sip::{SipHasher13, SipHasher24};

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A key, and the hash functions that use it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hasher {
    key: [u64; 2],
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(secret)")
    }
}

impl Hasher {
    /// The key with this number, among those derived from `secret`.
    fn derive(secret: [u64; 2], number: u64) -> Self {
        let half = |half: u8| {
            let mut hasher = SipHasher24::new_with_keys(secret[0], secret[1]);
            hasher.write_u64(number);
            hasher.write_u8(half);
            hasher.finish()
        };
        Self { key: [half(0), half(1)] }
    }

    /// The hash of an info_hash, or of a peer. All 64 bits are equally good.
    pub(crate) fn hash<const L: usize>(&self, bytes: &[u8; L]) -> u64 {
        SipHasher13::new_with_keys(self.key[0], self.key[1]).hash(bytes)
    }

    /// A random number for each peer, independent of its hash: the hash of an input with one more byte.
    pub(crate) fn chance<const L: usize>(&self, bytes: &[u8; L]) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.key[0], self.key[1]);
        hasher.write(bytes);
        hasher.write_u8(0);
        (hasher.finish() >> 32) as u32
    }
}

/// The keys of a store.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The key of info_hashes.
    pub(crate) torrents: Hasher,
    /// The key from which those of large swarms are derived.
    large_swarms: Hasher,
    /// The key of networks.
    pub(crate) networks: Hasher,
    /// How many of them were derived.
    derived: AtomicU64,
}

impl Keys {
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = secret;
        let secret = [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest)];
        Self {
            torrents: Hasher::derive(secret, 0),
            large_swarms: Hasher::derive(secret, 1),
            networks: Hasher::derive(secret, 2),
            derived: AtomicU64::new(0),
        }
    }

    /// A key that no other swarm has or had.
    pub(crate) fn next_large_swarm(&self) -> Hasher {
        Hasher::derive(self.large_swarms.key, self.derived.fetch_add(1, Relaxed))
    }
}

#[cfg(test)]
impl Hasher {
    /// A hasher with the key that a test chooses.
    pub(crate) const fn with_key(key: [u64; 2]) -> Self {
        Self { key }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The results of CPython 3.11, which uses the same hash, with a key of zeros:
    /// `PYTHONHASHSEED=0 python3 -c 'print([hex(hash(bytes(range(n))) & (1 << 64) - 1) for n in (6, 18, 20)])'`
    #[test]
    fn is_siphash_1_3() {
        let hasher = Hasher::with_key([0, 0]);
        let counting: [u8; 20] = Vec::from_iter(0..20).try_into().expect("twenty");
        assert_eq!(hasher.hash(counting.first_chunk::<6>().expect("is longer")), 0xe3c2_5f87_624f_1cdb);
        assert_eq!(hasher.hash(counting.first_chunk::<18>().expect("is longer")), 0xadc2_c0b6_3044_067d);
        assert_eq!(hasher.hash(&counting), 0x639e_355a_e68c_0100);
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let keys = [1, 2].map(|secret| Keys::new([secret; 16]));
        let hashers = keys.iter().flat_map(|keys| {
            [
                keys.torrents,
                keys.large_swarms,
                keys.networks,
                keys.next_large_swarm(),
                keys.next_large_swarm(),
            ]
        });
        assert_eq!(hashers.map(|hasher| hasher.hash(&[0; 20])).collect::<BTreeSet<_>>().len(), 10);
    }

    #[test]
    fn depends_on_the_key_and_on_every_bit() {
        let hasher = Hasher::with_key([1, 2]);
        let input = [0x5a; 20];
        let mut seen = BTreeSet::from([hasher.hash(&input), Hasher::with_key([1, 3]).hash(&input)]);
        for bit in 0..160 {
            let mut changed = input;
            changed[bit / 8] ^= 1 << (bit % 8);
            seen.insert(hasher.hash(&changed));
        }
        assert_eq!(seen.len(), 162);
    }

    #[test]
    fn spreads_consecutive_addresses() {
        // Counters as addresses, in 256 cells: by the lowest byte, by the highest byte, and by `chance`.
        let hasher = Keys::new([9; 16]).next_large_swarm();
        for shift in [0, 56, 64] {
            let mut cells = [0u32; 256];
            for peer in 0..25_600u32 {
                let [a, b, c, d] = peer.to_be_bytes();
                let peer = [a, b, c, d, 0x1a, 0xe1];
                let cell =
                    if shift == 64 { hasher.chance(&peer).into() } else { hasher.hash(&peer) >> shift };
                cells[(cell & 0xff) as usize] += 1;
            }
            assert!(cells.iter().all(|cell| (40..180).contains(cell)), "{cells:?}");
        }
    }
}
