//! The keyed hashes of info_hashes and peers.
//!
//! SipHash-1-3, a pseudo-random function: to whoever doesn't know the key, the hashes of any inputs look like
//! independent random numbers, also after the hashes of many others have been seen.
//!
//! # Keys
//! From the store's secret come, by SipHash-2-4, a key for info_hashes and a key from which each large swarm gets one of
//! its own, by a counter. A swarm that shrinks and becomes large again gets another one. So what is known about one
//! swarm's blocks says nothing about another's.
//!
//! # What replies reveal
//! - About the hashes of info_hashes: nothing. No reply depends on the order of torrents.
//! - In swarms that are not large: nothing. Their peers are not hashed.
//! - In a large swarm the peers of a reply are neighbours in one block, or in a block and the next ones. So an observer
//!   that draws many samples can find out which peers share a block, which is to say, whose hashes end with the same
//!   bits. Their order inside a block comes from the caller's random source. Where there is none, because blocks are
//!   joined during a sweep, it comes from the hash of a longer input, which is independent of the one that selects the
//!   block.
//!
//! Why that doesn't help: the key can't be computed from hashes of a pseudo-random function, much less from some bits of
//! them, nor the hash of an address that has not been tried. What remains is to announce addresses to one large swarm,
//! to look where they came to lie, and to keep those that share a block. This fills a block up to its limit,
//! [`Block::MOST`](crate::block::Block::MOST), at which a search still takes a fraction of a microsecond. New peers
//! whose hash leads to a full block are not stored. In a swarm of `n` peers that is one in `n / 64` of them, for as long
//! as the addresses are kept announced; and all blocks together take as many addresses as the swarm has peers.
//!
//! No bound on time or memory relies on the keys: what one announce costs is limited whatever the hashes are.

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use siphasher::sip::{SipHasher13, SipHasher24};

/// A key, and what it does.
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
    /// The key with that number, of those that can be derived from `secret`.
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

    /// A random number for each peer, independent of its hash: that of an input with one more byte.
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
    /// Of info_hashes.
    pub(crate) torrents: Hasher,
    /// From which those of large swarms are derived.
    large_swarms: Hasher,
    /// How many of them there have been.
    derived: AtomicU64,
}

impl Keys {
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = secret;
        let secret = [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest)];
        Self {
            torrents: Hasher::derive(secret, 0),
            large_swarms: Hasher::derive(secret, 1),
            derived: AtomicU64::new(0),
        }
    }

    /// A key that no other swarm has, or had.
    pub(crate) fn next_large_swarm(&self) -> Hasher {
        Hasher::derive(self.large_swarms.key, self.derived.fetch_add(1, Relaxed))
    }
}

#[cfg(test)]
impl Hasher {
    /// One with the key of a test's choice.
    pub(crate) const fn with_key(key: [u64; 2]) -> Self {
        Self { key }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What CPython 3.11 answers, whose own hash this is, with a key of zeros:
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
    fn each_use_has_a_key_of_its_own() {
        let keys = [1, 2].map(|secret| Keys::new([secret; 16]));
        let hashers = keys.iter().flat_map(|keys| {
            [keys.torrents, keys.large_swarms, keys.next_large_swarm(), keys.next_large_swarm()]
        });
        assert_eq!(hashers.map(|hasher| hasher.hash(&[0; 20])).collect::<BTreeSet<_>>().len(), 8);
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
    fn spreads_neighbours() {
        // Counters as addresses, in 256 cells by the lowest byte, by the highest, and by chance.
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
