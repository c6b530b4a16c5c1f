//! The state that a thread keeps between its calls.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use torrent_ids::InfoHash;

use crate::hash::Hasher;

/// The most torrents that are prefetched together: enough to keep the processor's memory requests busy, and few enough
/// that the first ones are still in its caches when they are needed.
pub(crate) const PREFETCHED: usize = 64;

/// How many prefetched torrents may be skipped before one that is announced.
const LEFT_OUT: usize = 4;

/// The state that an announcing thread keeps between its calls: a random generator, which selects samples, and the
/// hashes of the torrents that were prefetched last. It may be used with several stores.
///
/// The generator is fast, not cryptographic: an observer of many samples may be able to predict further ones. Only the
/// choice of peers depends on it.
pub struct ThreadContext {
    pub(crate) rng: SmallRng,
    prefetched: [(InfoHash, u64); PREFETCHED],
    len: usize,
    /// Where the next announced torrent is expected.
    next: usize,
    /// The hasher of these hashes.
    hasher: Option<Hasher>,
}

impl ThreadContext {
    /// A context whose random generator starts from `seed`. Each thread needs a seed of its own, from the system's
    /// random source.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed),
            prefetched: [(InfoHash([0; 20]), 0); PREFETCHED],
            len: 0,
            next: 0,
            hasher: None,
        }
    }

    /// Starts to remember hashes of torrents, in the order of their announces, and forgets the earlier ones.
    pub(crate) fn begin_prefetch(&mut self, hasher: Hasher) {
        (self.len, self.next, self.hasher) = (0, 0, Some(hasher));
    }

    /// Remembers one more hash, if there is room.
    pub(crate) fn remember(&mut self, torrent: &InfoHash, hash: u64) {
        if let Some(place) = self.prefetched.get_mut(self.len) {
            *place = (*torrent, hash);
            self.len += 1;
        }
    }

    /// The hash of a torrent. It is not computed again when torrents come in the order in which they were prefetched.
    pub(crate) fn hash(&mut self, hasher: &Hasher, torrent: &InfoHash) -> u64 {
        let expected = &self.prefetched[self.next..self.len];
        let found = expected.iter().take(LEFT_OUT).position(|known| known.0 == *torrent);
        match found.filter(|_| self.hasher == Some(*hasher)) {
            Some(left_out) => {
                let hash = expected[left_out].1;
                self.next += left_out + 1;
                hash
            }
            None => hasher.hash(&torrent.0),
        }
    }
}

impl std::fmt::Debug for ThreadContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadContext").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::torrent;

    const RIGHT: Hasher = Hasher::with_key([1, 2]);
    const OTHER: Hasher = Hasher::with_key([3, 4]);

    /// A context with wrong hashes, to distinguish remembered hashes from computed ones.
    fn remembering(torrents: std::ops::Range<u32>) -> ThreadContext {
        let mut context = ThreadContext::new(1);
        context.begin_prefetch(RIGHT);
        for number in torrents {
            context.remember(&torrent(number), number.into());
        }
        context
    }

    #[test]
    fn remembers_hashes_in_the_order_of_their_torrents() {
        let mut context = remembering(0..100);
        for number in [0, 1, 2, 5, 9, 10] {
            assert_eq!(context.hash(&RIGHT, &torrent(number)), u64::from(number));
        }
        // One before, one too far ahead, and one that was not prefetched.
        for number in [3, 15, 200] {
            assert_eq!(context.hash(&RIGHT, &torrent(number)), RIGHT.hash(&torrent(number).0));
        }
        let rest = (11..100).filter(|number| context.hash(&RIGHT, &torrent(*number)) == u64::from(*number));
        assert_eq!(rest.count(), PREFETCHED - 11);
    }

    #[test]
    fn hashes_of_another_store_are_computed() {
        let mut context = remembering(0..3);
        assert_eq!(context.hash(&OTHER, &torrent(0)), OTHER.hash(&torrent(0).0));
        assert_eq!(context.hash(&RIGHT, &torrent(0)), 0);
        context.begin_prefetch(OTHER);
        assert_eq!(context.hash(&OTHER, &torrent(1)), OTHER.hash(&torrent(1).0));
    }
}
