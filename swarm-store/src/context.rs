//! What a thread keeps between its calls.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use torrent_ids::InfoHash;

use crate::hash::Hasher;

/// How many torrents are prefetched together: more than a processor can wait for at once, and so few that the first are
/// still near when their turn comes.
pub(crate) const PREFETCHED: usize = 64;

/// How many torrents that were prefetched may be left out before one that is announced.
const LEFT_OUT: usize = 4;

/// What a thread that announces keeps between its calls: a random generator, from which samples are drawn, and the hashes
/// of the torrents that were prefetched last. It may serve several stores.
///
/// The generator is a fast one, not a cryptographic one: an observer of many samples may come to predict further ones.
/// Nothing but the choice of peers depends on it.
pub struct ThreadContext {
    pub(crate) rng: SmallRng,
    prefetched: [(InfoHash, u64); PREFETCHED],
    len: usize,
    /// Where the next one that is announced is expected.
    next: usize,
    /// Whose hashes they are.
    hasher: Option<Hasher>,
}

impl ThreadContext {
    /// With a random generator that begins with `seed`, of which each thread needs one of its own: take it from the
    /// system's random source.
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

    /// Begins to remember the hashes of torrents in the order of their announces, and forgets those from before.
    pub(crate) fn begin_prefetch(&mut self, hasher: Hasher) {
        (self.len, self.next, self.hasher) = (0, 0, Some(hasher));
    }

    /// Remembers one more, if there is room.
    pub(crate) fn remember(&mut self, torrent: &InfoHash, hash: u64) {
        if let Some(place) = self.prefetched.get_mut(self.len) {
            *place = (*torrent, hash);
            self.len += 1;
        }
    }

    /// The hash of a torrent: the one that was remembered, when the torrents come in the order in which they were
    /// prefetched.
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

    /// With hashes that are remembered wrongly, to tell them from computed ones.
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
        // One from before, one that is too far, and one that was not prefetched.
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
