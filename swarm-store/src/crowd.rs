//! A swarm of more than some hundred peers.
//!
//! Its seeders and its leechers are two lists, each divided by the keyed hash of the peer into blocks of some dozens,
//! whose number grows and shrinks by one at a time. So a peer is found by a look into two blocks, without an index, and
//! no step is longer in a swarm of a million than in one of a thousand.
//!
//! The blocks are in random order inside, and a sample is a window of one after the other, from a place that is drawn
//! from all.

use rand::{Rng, RngExt};

use crate::block::{Block, Entry};
use crate::clock::State;
use crate::hash::Hasher;
use crate::linear::Buckets;
use crate::sample::{self, Place};

/// Peers a block has on average when the blocks are all but too few; one that is still to be divided has up to twice
/// as many.
const FULL: usize = 64;
/// Peers a block has on average when the blocks are too many. Less than half, so that nothing goes to and fro.
const SPARSE: usize = 24;
#[derive(Debug)]
pub(crate) struct Crowd<const N: usize> {
    seeders: Part<N>,
    leechers: Part<N>,
}

/// The seeders, or the leechers.
#[derive(Debug)]
struct Part<const N: usize> {
    blocks: Buckets<Block<N>, 8>,
    len: usize,
}

/// Where a sweep of a crowd is to go on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resume {
    seeders: bool,
    /// In the order of [`Buckets::span`].
    place: u64,
}

impl<const N: usize> Crowd<N> {
    pub(crate) const fn new() -> Self {
        Self { seeders: Part::new(), leechers: Part::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.seeders.len + self.leechers.len
    }

    pub(crate) fn seeders(&self) -> usize {
        self.seeders.len
    }

    fn part(&self, seeders: bool) -> &Part<N> {
        if seeders { &self.seeders } else { &self.leechers }
    }

    fn part_mut(&mut self, seeders: bool) -> &mut Part<N> {
        if seeders { &mut self.seeders } else { &mut self.leechers }
    }

    /// Looks for a peer, first among the seeders if it is likely there.
    pub(crate) fn find(
        &self,
        peer: &[u8; N],
        likely_seeder: bool,
        hasher: &Hasher,
    ) -> Option<(Place, State)> {
        let hash = hasher.hash(peer);
        [likely_seeder, !likely_seeder].into_iter().find_map(|seeder| {
            let blocks = &self.part(seeder).blocks;
            let list = blocks.of(hash);
            let block = blocks.get(list)?;
            let at = block.find(peer)?;
            Some((Place { seeder, list, at }, block.state(at)))
        })
    }

    pub(crate) fn insert(&mut self, entry: Entry<N>, seeder: bool, hasher: &Hasher) -> Place {
        let (list, at) = self.part_mut(seeder).insert(entry, hasher);
        Place { seeder, list, at }
    }

    pub(crate) fn set_state(&mut self, place: Place, state: State) {
        self.part_mut(place.seeder).blocks.at_mut(place.list).set_state(place.at, state);
    }

    pub(crate) fn remove(&mut self, place: Place, hasher: &Hasher) -> Entry<N> {
        let part = self.part_mut(place.seeder);
        let entry = part.blocks.at_mut(place.list).remove(place.at);
        part.len -= 1;
        part.settle(1, hasher);
        entry
    }

    /// Everybody, and whether it is a seeder.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Entry<N>, bool)> {
        [true, false].into_iter().flat_map(|seeder| {
            let blocks = &self.part(seeder).blocks;
            (0..blocks.len())
                .flat_map(move |list| blocks.at(list).entries().map(move |entry| (entry, seeder)))
        })
    }

    /// Fills `out` with seeders, or with leechers, without the one at `skip`. There must be so many.
    pub(crate) fn window(&self, seeders: bool, skip: Option<Place>, out: &mut [[u8; N]], rng: &mut impl Rng) {
        let part = self.part(seeders);
        let start = part.start(skip, rng);
        sample::window(part.blocks.len(), |list| part.blocks.at(list).peers(), start, skip, out);
    }

    /// Looks at the peers of a block or several, as `budget` has it, and removes those whose state says so. `resume` is
    /// where to go on, `None` at the end, and for the beginning. Returns how many were removed.
    pub(crate) fn expire(
        &mut self,
        is_expired: impl Fn(State) -> bool,
        resume: &mut Option<Resume>,
        budget: &mut usize,
        hasher: &Hasher,
    ) -> usize {
        let mut removed = 0;
        let mut at = resume.take().unwrap_or_default();
        loop {
            let part = self.part_mut(at.seeders);
            let span = part.blocks.span(at.place);
            if span.bucket < part.blocks.len() {
                let block = part.blocks.at_mut(span.bucket);
                *budget = budget.saturating_sub(block.len() + 1);
                let gone = block.remove_if(&is_expired);
                part.len -= gone;
                part.settle(gone, hasher);
                removed += gone;
            }
            at = match span.next {
                Some(place) => Resume { place, ..at },
                None if at.seeders => return removed,
                None => Resume { seeders: true, place: 0 },
            };
            if *budget == 0 {
                *resume = Some(at);
                return removed;
            }
        }
    }
}

impl<const N: usize> Part<N> {
    const fn new() -> Self {
        Self { blocks: Buckets::new(), len: 0 }
    }

    fn insert(&mut self, entry: Entry<N>, hasher: &Hasher) -> (usize, usize) {
        if self.len >= self.blocks.len() * FULL {
            self.grow(hasher);
        }
        self.len += 1;
        self.put(entry, hasher)
    }

    fn put(&mut self, entry: Entry<N>, hasher: &Hasher) -> (usize, usize) {
        let hash = hasher.hash(&entry.peer);
        let list = self.blocks.of(hash);
        // The block is known by the lowest bits; the highest are as good as any random number.
        let at = self.blocks.at_mut(list).insert(entry, false, (hash >> 32) as u32);
        (list, at)
    }

    /// Divides a block.
    fn grow(&mut self, hasher: &Hasher) {
        let from = self.blocks.grow();
        let to = self.blocks.len() - 1;
        if from == to {
            return;
        }
        let all = std::mem::take(self.blocks.at_mut(from));
        let moves = |entry: &Entry<N>| self.blocks.of(hasher.hash(&entry.peer)) == to;
        let moving = all.entries().filter(&moves).count();
        let mut divided = [Block::with_room(all.len() - moving), Block::with_room(moving)];
        for entry in all.entries() {
            // At the end: what was in random order stays so when some of it is left out.
            divided[usize::from(moves(&entry))].insert(entry, false, u32::MAX);
        }
        [*self.blocks.at_mut(from), *self.blocks.at_mut(to)] = divided;
    }

    /// Joins blocks, at most `steps` times, if they are too many.
    fn settle(&mut self, steps: usize, hasher: &Hasher) {
        for _ in 0..steps {
            if self.len >= self.blocks.len() * SPARSE {
                return;
            }
            let Some((block, _)) = self.blocks.shrink() else { return };
            for entry in block.entries() {
                self.put(entry, hasher);
            }
        }
    }

    /// A random place, each peer's but that of `skip` equally likely.
    fn start(&self, skip: Option<Place>, rng: &mut impl Rng) -> (usize, usize) {
        if self.blocks.len() == 1 {
            return (0, sample::start(self.len, skip, rng));
        }
        // Darts at a wall of blocks that are all as high as the highest may be: eight deviations above what those have
        // on average that are still to be divided.
        let average = self.len >> self.blocks.len().ilog2();
        let highest = average + 8 * average.isqrt() + 8;
        loop {
            let dart = rng.random_range(0..self.blocks.len() * highest);
            let (list, at) = (dart / highest, dart % highest);
            if at < self.blocks.at(list).len() && skip.is_none_or(|skip| (skip.list, skip.at) != (list, at)) {
                return (list, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn its_blocks_become_more_and_fewer_with_its_peers() {
        let hasher = Hasher::new([6; 16]);
        let state = |second| State::new(Clock::new(600).stamp(second), false);
        let mut crowd = Crowd::<6>::new();
        for number in 0..10_000u32 {
            let [a, b, c, d] = number.to_be_bytes();
            let entry = Entry { peer: [a, b, c, d, 1, 1], state: state(number % 10) };
            let before = crowd.leechers.blocks.len();
            crowd.insert(entry, false, &hasher);
            assert!(crowd.leechers.blocks.len() - before <= 1);
        }
        assert_eq!(crowd.leechers.blocks.len(), 10_000usize.div_ceil(FULL));
        for list in 0..crowd.leechers.blocks.len() {
            assert!(crowd.leechers.blocks.at(list).len() < 2 * FULL + 100);
        }
        assert_eq!(crowd.seeders.blocks.len(), 0);

        assert_eq!(crowd.expire(|known| known != state(3), &mut None, &mut 100_000, &hasher), 9000);
        assert_eq!(crowd.leechers.blocks.len(), 1000 / SPARSE);
        for (number, (entry, seeder)) in crowd.entries().collect::<Vec<_>>().into_iter().enumerate() {
            let (place, known) = crowd.find(&entry.peer, true, &hasher).expect("is left");
            assert_eq!((seeder, place.seeder, known), (false, false, state(3)));
            crowd.remove(place, &hasher);
            assert_eq!(crowd.len(), 999 - number);
        }
        assert_eq!(crowd.leechers.blocks.len(), 1);
    }
}
