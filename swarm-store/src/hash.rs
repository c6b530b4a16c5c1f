//! The keyed hash of info_hashes and peers.
//!
//! `h(x) = (k0 + k1·x1 + k2·x2 + k3·x3 mod 2^128) / 2^64`, the `x` being the input's words of 64 bits and the `k`
//! secret words of 128: the multilinear family, which is strongly universal (Lemire and Kaser, "Strongly universal
//! string hashing is fast", 2014). For any two inputs of one length, whatever they look like and whoever has chosen
//! them, the two hashes are independent and uniform over the choice of the key. So whoever doesn't know the key meets
//! with collisions, in any bits of the hash, exactly as often as chance does. It costs six multiplications, a third of
//! SipHash-1-3 on these lengths.
//!
//! It is no pseudo-random function: who saw hashes could solve for the key. Nobody is shown one. What might be learned
//! from answers that take some nanoseconds longer is lost in the noise of a network, and would buy nothing but a longer
//! walk through a few buckets.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// Secret words, and what they do.
#[derive(Clone, Copy)]
pub(crate) struct Hasher {
    keys: [u128; 4],
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(secret)")
    }
}

impl Hasher {
    /// Draws the secret words out of `key` with SipHash-2-4, a pseudo-random function.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let half = |counter: u8| {
            let mut hasher = SipHasher24::new_with_key(&key);
            hasher.write_u8(counter);
            u128::from(hasher.finish())
        };
        Self { keys: [0, 2, 4, 6].map(|counter| half(counter) << 64 | half(counter + 1)) }
    }

    /// The hash of `L` octets, at most 24. All 64 bits are equally good.
    pub(crate) fn hash<const L: usize>(&self, octets: &[u8; L]) -> u64 {
        const { assert!(L <= 24, "three words at most") };
        let (words, rest) = octets.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(last);
        let [mut sum, factors @ ..] = self.keys;
        for (word, factor) in words.iter().chain(&last).zip(factors) {
            sum = sum.wrapping_add(factor.wrapping_mul(u64::from_le_bytes(*word).into()));
        }
        (sum >> 64) as u64
    }

    /// The half of the hash that names no bucket, for places that are to be random.
    pub(crate) fn chance<const L: usize>(&self, octets: &[u8; L]) -> u32 {
        (self.hash(octets) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_formula() {
        let hasher = Hasher { keys: [5 << 64, 7 << 64, 11 << 64, 1 << 63] };
        let mut octets = [0; 20];
        (octets[0], octets[9], octets[16]) = (2, 1, 4);
        assert_eq!(hasher.hash(&octets), 5 + 7 * 2 + 11 * 256 + 2);
        assert_eq!(hasher.hash(&[3, 0, 0, 0, 0, 1]), 5 + 7 * (3 + (1 << 40)));
    }

    #[test]
    fn spreads_neighbours() {
        // Counters as addresses, in 256 cells by the lowest octet, and by the highest.
        let hasher = Hasher::new([9; 16]);
        for shift in [0, 56] {
            let mut cells = [0u32; 256];
            for peer in 0..25_600u32 {
                let [a, b, c, d] = peer.to_be_bytes();
                let hash = hasher.hash(&[a, b, c, d, 0x1a, 0xe1]);
                cells[(hash >> shift & 0xff) as usize] += 1;
            }
            assert!(cells.iter().all(|cell| (40..180).contains(cell)), "{cells:?}");
        }
    }

    #[test]
    fn depends_on_the_key() {
        assert_ne!(Hasher::new([1; 16]).hash(&[0; 20]), Hasher::new([2; 16]).hash(&[0; 20]));
    }
}
