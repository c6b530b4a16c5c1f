//! A swarm of more than some hundred peers.
//!
//! Its seeders and its leechers are two separate parts. Each is divided, by a hash of the peer with a key of this swarm
//! alone, into blocks of some dozens, whose number grows and shrinks by one at a time. So a peer is found by searching
//! two blocks, without an index, and no step takes longer in a swarm of a million than in one of a thousand.
//!
//! The blocks are in random order inside. A sample is a window over consecutive blocks, from a random place.
//!
//! # Bounds
//! An attacker chooses the peers, and could fill single blocks if it had the key. Even then each operation takes
//! bounded time. A block holds at most [`Block::MOST`] peers; further ones are refused, or dropped when two blocks are
//! joined. A sample looks at a bounded number of blocks, and is shorter when they are empty. When more peers were
//! dropped than removed, joining falls behind; the sweep catches up.

use rand::{Rng, RngExt};

use crate::block::{Block, Entry};
use crate::clock::State;
use crate::hash::Hasher;
use crate::linear::Buckets;
use crate::memory::allocated;
use crate::sample::{self, At, Place};
use crate::work;

/// Peers that a block has on average just before the number of blocks grows. A block that is not yet divided has up to
/// twice as many.
const FULL: usize = 64;
/// Peers that a block has on average just before the number of blocks shrinks. Less than half of [`FULL`], so that
/// blocks are not divided and joined again at every announce.
const SPARSE: usize = 24;
/// Attempts to draw a place. With random hashes at least one in five succeeds, so that all fail once in 10^12 draws.
/// With the most uneven blocks possible, one in about twenty succeeds.
const ATTEMPTS: usize = 128;

#[derive(Debug)]
pub(crate) struct LargeSwarm<const N: usize> {
    hasher: Hasher,
    seeders: Part<N>,
    leechers: Part<N>,
}

/// The seeders, or the leechers.
#[derive(Debug)]
struct Part<const N: usize> {
    blocks: Buckets<Block<N>, 8>,
    len: usize,
    /// The memory of the blocks and their pages.
    bytes: usize,
}

/// Where a sweep of a large swarm continues.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resume {
    seeders: bool,
    /// In the order of [`Buckets::span`].
    place: u64,
}

impl<const N: usize> LargeSwarm<N> {
    /// An empty swarm. No other swarm may have this key.
    pub(crate) const fn new(hasher: Hasher) -> Self {
        Self { hasher, seeders: Part::new(), leechers: Part::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.seeders.len + self.leechers.len
    }

    pub(crate) fn seeders(&self) -> usize {
        self.seeders.len
    }

    /// The memory of the swarm.
    pub(crate) fn bytes(&self) -> usize {
        allocated(size_of::<Self>()) + self.seeders.bytes + self.leechers.bytes
    }

    pub(crate) fn blocks(&self) -> usize {
        self.seeders.blocks.len() + self.leechers.blocks.len()
    }

    fn part(&self, seeders: bool) -> &Part<N> {
        if seeders { &self.seeders } else { &self.leechers }
    }

    fn part_mut(&mut self, seeders: bool) -> &mut Part<N> {
        if seeders { &mut self.seeders } else { &mut self.leechers }
    }

    /// Finds a peer. Searches the seeders first if `likely_seeder`.
    pub(crate) fn find(&self, peer: &[u8; N], likely_seeder: bool) -> Option<(Place, State)> {
        let hash = self.hasher.hash(peer);
        [likely_seeder, !likely_seeder].into_iter().find_map(|seeder| {
            let blocks = &self.part(seeder).blocks;
            let list = blocks.of(hash);
            let block = blocks.get(list)?;
            let at = block.find(peer)?;
            Some((Place { seeder, list, at }, block.state(at)))
        })
    }

    /// Inserts a peer that is not there, at a position of its block that `chance` selects. Returns the place, or `None`
    /// when its block is full, or when there is no memory.
    pub(crate) fn insert(&mut self, entry: Entry<N>, seeder: bool, chance: u32) -> Option<Place> {
        let hasher = self.hasher;
        let (list, at) = self.part_mut(seeder).insert(entry, chance, &hasher)?;
        Some(Place { seeder, list, at })
    }

    pub(crate) fn set_state(&mut self, place: Place, state: State) {
        self.part_mut(place.seeder).blocks.at_mut(place.list).set_state(place.at, state);
    }

    /// Removes a peer. When blocks are joined, others that don't fit may be removed with it: these are passed to `dropped`.
    pub(crate) fn remove(&mut self, place: Place, dropped: impl FnMut(&[u8; N])) -> Entry<N> {
        let hasher = self.hasher;
        let part = self.part_mut(place.seeder);
        let entry = part.change(place.list, |block| block.remove(place.at));
        part.len -= 1;
        part.settle(1, &hasher, dropped);
        entry
    }

    /// The blocks that a peer's hash selects, seeders and leechers.
    pub(crate) fn blocks_of(&self, peer: &[u8; N]) -> impl Iterator<Item = &Block<N>> {
        let hash = self.hasher.hash(peer);
        [&self.seeders.blocks, &self.leechers.blocks]
            .into_iter()
            .filter_map(move |blocks| blocks.get(blocks.of(hash)))
    }

    /// A random peer. `None` if none was found in bounded time.
    pub(crate) fn random(&self, rng: &mut impl Rng) -> Option<(Place, Entry<N>)> {
        let seeder = rng.random_range(0..self.len()) < self.seeders.len;
        let (list, at) = self.part(seeder).start(None, rng)?;
        let block = self.part(seeder).blocks.at(list);
        let entry = Entry { peer: *block.peers().get(at)?, state: block.state(at) };
        Some((Place { seeder, list, at }, entry))
    }

    /// A random number for a peer, independent of the hash that selects its block.
    pub(crate) fn chance(&self, peer: &[u8; N]) -> u32 {
        self.hasher.chance(peer)
    }

    /// All peers, and whether they are seeders.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Entry<N>, bool)> {
        [true, false].into_iter().flat_map(|seeder| {
            let blocks = &self.part(seeder).blocks;
            (0..blocks.len())
                .flat_map(move |list| blocks.at(list).entries().map(move |entry| (entry, seeder)))
        })
    }

    /// Fills `out` with seeders or with leechers, except the one at `skip`, and returns how many were written: all,
    /// unless the blocks are extremely uneven. There must be enough peers.
    pub(crate) fn window(
        &self,
        seeders: bool,
        skip: Option<At>,
        out: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> usize {
        let part = self.part(seeders);
        let Some(start) = part.start(skip, rng) else { return 0 };
        sample::window(part.blocks.len(), |list| part.blocks.at(list).peers(), start, skip, out)
    }

    /// The hasher of its peers.
    pub(crate) fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// Calls `visit` with the peers of one or more blocks, as `budget` permits, leechers first, and whether they are
    /// seeders. `resume` is where to continue: `None` for the beginning, and `None` after the end.
    pub(crate) fn walk(
        &self,
        resume: &mut Option<Resume>,
        budget: usize,
        mut visit: impl FnMut(Entry<N>, bool),
    ) {
        let mut left = budget;
        let mut at = resume.take().unwrap_or_default();
        loop {
            let part = self.part(at.seeders);
            let span = part.blocks.span(at.place);
            if let Some(block) = part.blocks.get(span.bucket) {
                left = left.saturating_sub(block.len() + 1);
                for entry in block.entries() {
                    // The peers before the place were visited when they had a block of their own.
                    let hash = || self.hasher.hash(&entry.peer);
                    if span.begins_at(at.place) || hash().reverse_bits() >= at.place {
                        visit(entry, at.seeders);
                    }
                }
            }
            at = match span.next {
                Some(place) => Resume { place, ..at },
                None if at.seeders => return,
                None => Resume { seeders: true, place: 0 },
            };
            if left == 0 {
                *resume = Some(at);
                return;
            }
        }
    }

    /// Looks at the peers of one or more blocks, as `budget` permits, and removes those for which `expires` is true.
    /// `resume` is where to continue: `None` for the beginning, and `None` after the end. Returns how many were removed.
    /// Peers that don't fit when blocks are joined are passed to `dropped`.
    pub(crate) fn expire(
        &mut self,
        mut expires: impl FnMut(&[u8; N], State) -> bool,
        mut dropped: impl FnMut(&[u8; N]),
        resume: &mut Option<Resume>,
        budget: &mut usize,
    ) -> usize {
        let hasher = self.hasher;
        let before = self.len();
        let mut at = resume.take().unwrap_or_default();
        loop {
            let part = self.part_mut(at.seeders);
            let span = part.blocks.span(at.place);
            if span.bucket < part.blocks.len() {
                *budget = budget.saturating_sub(part.blocks.at(span.bucket).len() + 1);
                let gone = part.change(span.bucket, |block| block.remove_if(&mut expires));
                part.len -= gone;
                // One more step for joins that may be left from before.
                *budget =
                    budget.saturating_sub(part.settle(gone.div_ceil(SPARSE) + 1, &hasher, &mut dropped));
            }
            at = match span.next {
                Some(place) => Resume { place, ..at },
                None if at.seeders => return before - self.len(),
                None => Resume { seeders: true, place: 0 },
            };
            if *budget == 0 {
                *resume = Some(at);
                return before - self.len();
            }
        }
    }
}

impl<const N: usize> Part<N> {
    const fn new() -> Self {
        Self { blocks: Buckets::new(), len: 0, bytes: 0 }
    }

    /// Adds peers to a block or removes some, and counts the memory that this takes or frees.
    fn change<T>(&mut self, list: usize, change: impl FnOnce(&mut Block<N>) -> T) -> T {
        let block = self.blocks.at_mut(list);
        self.bytes -= block.bytes();
        let result = change(block);
        self.bytes += block.bytes();
        result
    }

    fn insert(&mut self, entry: Entry<N>, chance: u32, hasher: &Hasher) -> Option<(usize, usize)> {
        if self.len >= self.blocks.len() * FULL {
            // Without memory, the blocks that there are get fuller.
            let _ = self.grow(hasher);
        }
        let list = self.blocks.of(hasher.hash(&entry.peer));
        self.blocks.get(list)?;
        let at = self.change(list, |block| block.insert(entry, false, chance))?;
        self.len += 1;
        Some((list, at))
    }

    /// Divides a block. `None` if there is no memory; then nothing has changed.
    fn grow(&mut self, hasher: &Hasher) -> Option<()> {
        let from = self.change_pages(Buckets::grow)?;
        let to = self.blocks.len() - 1;
        if from == to {
            return Some(());
        }
        let all = self.blocks.at(from);
        let moves = |entry: &Entry<N>| self.blocks.of(hasher.hash(&entry.peer)) == to;
        let moving = all.entries().filter(&moves).count();
        let Some((stay, go)) = Block::with_room(all.len() - moving).zip(Block::with_room(moving)) else {
            self.change_pages(Buckets::shrink);
            return None;
        };
        let mut divided = [stay, go];
        for entry in all.entries() {
            // Added at the end: a part in random order stays so when some of it is left out.
            let at = divided[usize::from(moves(&entry))].insert(entry, false, u32::MAX);
            debug_assert!(at.is_some(), "neither is larger than what is divided");
        }
        self.bytes -= all.bytes();
        self.bytes += divided.iter().map(Block::bytes).sum::<usize>();
        [*self.blocks.at_mut(from), *self.blocks.at_mut(to)] = divided;
        Some(())
    }

    /// Adds or removes a block, and counts the memory that this takes or frees.
    fn change_pages<T>(&mut self, change: impl FnOnce(&mut Buckets<Block<N>, 8>) -> T) -> T {
        self.bytes -= self.blocks.bytes();
        let result = change(&mut self.blocks);
        self.bytes += self.blocks.bytes();
        result
    }

    /// Joins blocks, at most `steps` times, while there are too many. Drops peers that don't fit, and passes them to
    /// `dropped`. Returns how many peers were looked at.
    fn settle(&mut self, steps: usize, hasher: &Hasher, mut dropped: impl FnMut(&[u8; N])) -> usize {
        let mut looked_at = 0;
        for _ in 0..steps {
            if self.len >= self.blocks.len() * SPARSE {
                break;
            }
            let Some((block, into)) = self.change_pages(Buckets::shrink) else { break };
            self.bytes -= block.bytes();
            looked_at += block.len();
            work::count(block.len() + 1);
            self.len -= self.change(into, |into| {
                let mut missing = 0;
                for entry in block.entries() {
                    if into.insert(entry, false, hasher.chance(&entry.peer)).is_none() {
                        dropped(&entry.peer);
                        missing += 1;
                    }
                }
                missing
            });
        }
        looked_at
    }

    /// A random place, equally likely for each peer except that of `skip`. `None` if none was found in bounded time.
    fn start(&self, skip: Option<At>, rng: &mut impl Rng) -> Option<At> {
        if self.blocks.len() == 1 {
            return Some((0, sample::start(self.len, skip, rng)));
        }
        // Draws random places as if all blocks had the largest likely length, until there is a peer at the place. That
        // length is eight standard deviations above the average of the blocks that are not yet divided.
        let average = self.len >> self.blocks.len().ilog2();
        let longest = average + 8 * average.isqrt() + 8;
        for _ in 0..ATTEMPTS {
            work::count(1);
            let drawn = rng.random_range(0..self.blocks.len() * longest);
            let (list, at) = (drawn / longest, drawn % longest);
            if at < self.blocks.at(list).len() && skip != Some((list, at)) {
                return Some((list, at));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_number_of_blocks_follows_the_number_of_peers() {
        let state = |second| State::new(Clock::new(600).stamp(second), false);
        let mut large_swarm = LargeSwarm::<6>::new(Hasher::with_key([6, 7]));
        for number in 0..10_000u32 {
            let [a, b, c, d] = number.to_be_bytes();
            let entry = Entry { peer: [a, b, c, d, 1, 1], state: state(number % 10) };
            let before = large_swarm.leechers.blocks.len();
            assert!(large_swarm.insert(entry, false, number.wrapping_mul(0x9e37_79b1)).is_some());
            assert!(large_swarm.leechers.blocks.len() - before <= 1);
        }
        assert_eq!(large_swarm.leechers.blocks.len(), 10_000usize.div_ceil(FULL));
        for list in 0..large_swarm.leechers.blocks.len() {
            assert!(large_swarm.leechers.blocks.at(list).len() < 2 * FULL + 100);
        }
        assert_eq!(large_swarm.seeders.blocks.len(), 0);

        assert_eq!(large_swarm.expire(|_, known| known != state(3), |_| (), &mut None, &mut 100_000), 9000);
        assert_eq!(large_swarm.leechers.blocks.len(), 1000 / SPARSE);
        for (number, (entry, seeder)) in large_swarm.entries().collect::<Vec<_>>().into_iter().enumerate() {
            let (place, known) = large_swarm.find(&entry.peer, true).expect("is left");
            assert_eq!((seeder, place.seeder, known), (false, false, state(3)));
            large_swarm.remove(place, |_| ());
            assert_eq!(large_swarm.len(), 999 - number);
        }
        assert_eq!(large_swarm.leechers.blocks.len(), 1);
    }
}
