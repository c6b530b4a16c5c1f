//! The peers of one torrent: none, one in the torrent's own slot, up to some hundred in a block, or a large swarm.

use rand::{Rng, RngExt};

use crate::Totals;
use crate::block::{Block, Entry};
use crate::clock::State;
use crate::hash::Keys;
use crate::large_swarm::{LargeSwarm, Resume};
use crate::networks::{is_local, may_add};
use crate::raw::{ThinBox, prefetch};
use crate::sample::{self, At, Place};
use crate::work;

/// A swarm of more peers is a large swarm: to scan them would take longer than to search two blocks by hash.
pub(crate) const LARGEST_BLOCK: usize = 128;
/// A large swarm that has shrunk to this many peers becomes a block again. It is half, so that a swarm does not change
/// between the two at every announce.
const SMALLEST_LARGE_SWARM: usize = LARGEST_BLOCK / 2;

/// Has an alignment of one, and nine bytes for IPv4.
#[derive(Debug)]
pub(crate) enum Swarm<const N: usize> {
    /// No peers, and since when, in seconds, as four bytes.
    Empty { since: [u8; 4] },
    /// A single peer.
    One { seeder: bool, entry: Entry<N> },
    /// Two or more peers.
    Block(Block<N>),
    /// More than a block holds.
    Large(ThinBox<LargeSwarm<N>>),
}

/// A peer that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) state: State,
}

impl<const N: usize> Swarm<N> {
    pub(crate) fn empty(since: u32) -> Self {
        Self::Empty { since: since.to_le_bytes() }
    }

    /// Since when there are no peers; `None` when there are peers.
    pub(crate) fn empty_since(&self) -> Option<u32> {
        if let Self::Empty { since } = self { Some(u32::from_le_bytes(*since)) } else { None }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Empty { .. } => 0,
            Self::One { .. } => 1,
            Self::Block(block) => block.len(),
            Self::Large(large_swarm) => large_swarm.len(),
        }
    }

    pub(crate) fn seeders(&self) -> usize {
        match self {
            Self::Empty { .. } => 0,
            Self::One { seeder, .. } => usize::from(*seeder),
            Self::Block(block) => block.seeders(),
            Self::Large(large_swarm) => large_swarm.seeders(),
        }
    }

    /// The peers, the seeders among them, and the memory outside of the slot.
    pub(crate) fn totals(&self) -> Totals {
        let (peers, seeders, bytes) = match self {
            Self::Empty { .. } => (0, 0, 0),
            Self::One { seeder, .. } => (1, usize::from(*seeder), 0),
            Self::Block(block) => (block.len(), block.seeders(), block.bytes()),
            Self::Large(large_swarm) => (large_swarm.len(), large_swarm.seeders(), large_swarm.bytes()),
        };
        Totals { torrents: 0, peers, seeders, bytes }
    }

    /// The large swarm that it is, if it is one.
    pub(crate) fn large(&self) -> Option<&LargeSwarm<N>> {
        if let Self::Large(large_swarm) = self { Some(large_swarm) } else { None }
    }

    /// Calls `visit` with the peers of a swarm that is not large, and whether they are seeders.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(Entry<N>, bool)) {
        match self {
            Self::One { seeder, entry } => visit(*entry, *seeder),
            Self::Block(block) => {
                block.entries().enumerate().for_each(|(at, entry)| visit(entry, at < block.seeders()));
            }
            Self::Empty { .. } | Self::Large(_) => {}
        }
    }

    /// Finds a peer. Searches the seeders first if `likely_seeder`.
    pub(crate) fn find(&self, peer: &[u8; N], likely_seeder: bool) -> Option<Found> {
        match self {
            Self::Empty { .. } => None,
            Self::One { seeder, entry } => (entry.peer == *peer)
                .then_some(Found { place: Place { seeder: *seeder, list: 0, at: 0 }, state: entry.state }),
            Self::Block(block) => {
                let at = block.find(peer)?;
                Some(Found { place: place(at, block.seeders()), state: block.state(at) })
            }
            Self::Large(large_swarm) => {
                let (place, state) = large_swarm.find(peer, likely_seeder)?;
                Some(Found { place, state })
            }
        }
    }

    /// A random peer. In a large swarm, `None` if none was found in bounded time.
    pub(crate) fn random(&self, rng: &mut impl Rng) -> Option<(Place, Entry<N>)> {
        match self {
            Self::Empty { .. } => None,
            Self::One { seeder, entry } => Some((Place { seeder: *seeder, list: 0, at: 0 }, *entry)),
            Self::Block(block) => {
                let at = rng.random_range(0..block.len());
                let entry = Entry { peer: block.peers()[at], state: block.state(at) };
                Some((place(at, block.seeders()), entry))
            }
            Self::Large(large_swarm) => large_swarm.random(rng),
        }
    }

    /// Whether the network of a peer may have one more peer here: if it has fewer than `most`, or than an eighth of all.
    ///
    /// In a large swarm this is decided by the two blocks that the peer's hash selects: the network may have its part of
    /// them, and four more, because peers are not spread evenly over blocks. So it may have up to twice as many in all.
    pub(crate) fn may_add(&self, peer: &[u8; N], most: usize) -> bool {
        if is_local(peer) {
            return true;
        }
        let most = most.max(self.len() / 8);
        match self {
            Self::Empty { .. } => true,
            Self::One { entry, .. } => may_add(peer, std::iter::once(&entry.peer), most),
            Self::Block(block) => {
                work::count(block.len());
                may_add(peer, block.peers().iter(), most)
            }
            Self::Large(large_swarm) => {
                let of_block = large_swarm.blocks_of(peer).map(Block::len).sum::<usize>();
                work::count(of_block);
                let part = most.saturating_mul(of_block) / self.len().max(1) + 4;
                may_add(peer, large_swarm.blocks_of(peer).flat_map(Block::peers), part)
            }
        }
    }

    /// Calls `visit` with all peers.
    pub(crate) fn for_all(&self, mut visit: impl FnMut(&[u8; N])) {
        self.for_each(|entry, _| visit(&entry.peer));
        if let Self::Large(large_swarm) = self {
            large_swarm.entries().for_each(|(entry, _)| visit(&entry.peer));
        }
    }

    /// Inserts a peer that is not there. Returns the place, or `None` when there is no room or no memory for it.
    pub(crate) fn insert(
        &mut self,
        entry: Entry<N>,
        seeder: bool,
        keys: &Keys,
        rng: &mut impl Rng,
    ) -> Option<Place> {
        self.make_room(keys, rng)?;
        match self {
            Self::Empty { .. } | Self::One { .. } => {
                *self = Self::One { seeder, entry };
                Some(Place { seeder, list: 0, at: 0 })
            }
            Self::Block(block) => {
                let at = block.insert(entry, seeder, rng.next_u32())?;
                Some(place(at, block.seeders()))
            }
            Self::Large(large_swarm) => large_swarm.insert(entry, seeder, rng.next_u32()),
        }
    }

    /// Changes to a form that can hold one more peer. `None` if there is no memory; then nothing has changed.
    fn make_room(&mut self, keys: &Keys, rng: &mut impl Rng) -> Option<()> {
        match self {
            Self::One { seeder, entry } => {
                let mut block = Block::with_room(2)?;
                block.insert(*entry, *seeder, 0)?;
                *self = Self::Block(block);
            }
            Self::Block(block) if block.len() >= LARGEST_BLOCK => {
                let mut large_swarm = LargeSwarm::new(keys.next_large_swarm());
                for (at, entry) in block.entries().enumerate() {
                    large_swarm.insert(entry, at < block.seeders(), rng.next_u32())?;
                }
                *self = Self::Large(ThinBox::new(large_swarm)?);
            }
            _ => {}
        }
        Some(())
    }

    /// Changes to a smaller form if few peers are left. `now` is in seconds.
    fn settle(&mut self, now: u32) {
        match self {
            Self::Block(block) if block.len() <= 1 => {
                let last = block.entries().next();
                let seeder = block.seeders() == 1;
                *self = last.map_or(Self::empty(now), |entry| Self::One { seeder, entry });
            }
            Self::Large(large_swarm)
                if large_swarm.len() <= SMALLEST_LARGE_SWARM
                    && large_swarm.blocks() <= SMALLEST_LARGE_SWARM =>
            {
                let Some(mut block) = Block::with_room(large_swarm.len()) else { return };
                for (entry, seeder) in large_swarm.entries() {
                    block.insert(entry, seeder, large_swarm.chance(&entry.peer));
                }
                *self = Self::Block(block);
                self.settle(now);
            }
            _ => {}
        }
    }

    /// Sets the state of the peer at `place`.
    pub(crate) fn set_state(&mut self, place: Place, state: State) {
        match self {
            Self::Empty { .. } => {}
            Self::One { entry, .. } => entry.state = state,
            Self::Block(block) => block.set_state(position(place, block.seeders()), state),
            Self::Large(large_swarm) => large_swarm.set_state(place, state),
        }
    }

    /// Makes a seeder a leecher, or the reverse, and sets its state. Returns its new place, or `None` if there was no
    /// room on the other side; then the peer is removed. `now` is in seconds. All that are removed are passed to
    /// `removed`.
    pub(crate) fn change_side(
        &mut self,
        (place, state): (Place, State),
        now: u32,
        keys: &Keys,
        rng: &mut impl Rng,
        mut removed: impl FnMut(&[u8; N]),
    ) -> Option<Place> {
        let entry = self.take(place, now, &mut removed);
        let place = self.insert(Entry { state, ..entry }, !place.seeder, keys, rng);
        if place.is_none() {
            removed(&entry.peer);
        }
        place
    }

    /// Removes the peer at `place`. `now` is in seconds. Others may be removed with it: see [`LargeSwarm::remove`]. All
    /// are passed to `removed`.
    pub(crate) fn remove(&mut self, place: Place, now: u32, mut removed: impl FnMut(&[u8; N])) {
        let entry = self.take(place, now, &mut removed);
        removed(&entry.peer);
    }

    /// The same, without passing the peer itself.
    fn take(&mut self, place: Place, now: u32, dropped: impl FnMut(&[u8; N])) -> Entry<N> {
        let entry = match self {
            Self::Empty { .. } => Entry { peer: [0; N], state: State::default() }, // there is no such place
            Self::One { entry, .. } => {
                let entry = *entry;
                *self = Self::empty(now);
                entry
            }
            Self::Block(block) => block.remove(position(place, block.seeders())),
            Self::Large(large_swarm) => large_swarm.remove(place, dropped),
        };
        self.settle(now);
        entry
    }

    /// Writes a sample of the peers without the announcing one, with seeders only if wanted. Returns how many.
    pub(crate) fn sample(
        &self,
        announcer: Option<Place>,
        with_seeders: bool,
        out: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> usize {
        let own =
            |seeder| announcer.filter(|place| place.seeder == seeder).map(|place| (place.list, place.at));
        let (own_seeder, own_leecher) = (own(true), own(false));
        let leechers = self.len() - self.seeders() - usize::from(own_leecher.is_some());
        let seeders = if with_seeders { self.seeders() - usize::from(own_seeder.is_some()) } else { 0 };
        let wanted = out.len().min(seeders + leechers);
        if wanted == 0 {
            return 0;
        }
        let from_seeders = sample::seeders_share(wanted, seeders, leechers, rng);
        let written = self.window(true, own_seeder, &mut out[..from_seeders], rng);
        written + self.window(false, own_leecher, &mut out[written..written + wanted - from_seeders], rng)
    }

    /// Fills `out` with seeders or with leechers, without the one at `skip`. Returns how many. There must be enough.
    fn window(&self, seeders: bool, skip: Option<At>, out: &mut [[u8; N]], rng: &mut impl Rng) -> usize {
        if out.is_empty() {
            return 0;
        }
        let list = match self {
            Self::Empty { .. } => &[],
            Self::One { entry, .. } => std::slice::from_ref(&entry.peer),
            Self::Block(block) => {
                let (first, second) = block.peers().split_at(block.seeders());
                if seeders { first } else { second }
            }
            Self::Large(large_swarm) => return large_swarm.window(seeders, skip, out, rng),
        };
        let start = sample::start(list.len(), skip, rng);
        sample::window(1, |_| list, (0, start), skip, out)
    }

    /// Prefetches peers that are not in the slot itself. Returns whether there is more to prefetch.
    pub(crate) fn prefetch(&self) -> bool {
        match self {
            Self::Empty { .. } | Self::One { .. } => {
                prefetch(self);
                false
            }
            Self::Block(block) => {
                block.prefetch();
                true
            }
            Self::Large(large_swarm) => {
                prefetch(&**large_swarm);
                false
            }
        }
    }

    /// Prefetches more of them.
    pub(crate) fn prefetch_rest(&self) {
        if let Self::Block(block) = self {
            block.prefetch_rest();
        }
    }

    /// Looks at the peers, in a large swarm at about `budget` of them, and removes the expired ones. `resume` is where
    /// to continue in a large swarm, `None` at the end. Returns how many were removed. All are passed to `removed`.
    pub(crate) fn expire(
        &mut self,
        now: u32,
        is_expired: impl Fn(State) -> bool,
        removed: impl Fn(&[u8; N]),
        resume: &mut Option<Resume>,
        budget: &mut usize,
    ) -> usize {
        if !matches!(self, Self::Large(_)) {
            *budget = budget.saturating_sub(self.len());
            *resume = None;
        }
        let expires = |peer: &[u8; N], state| {
            let expired = is_expired(state);
            if expired {
                removed(peer);
            }
            expired
        };
        let number = match self {
            Self::Empty { .. } => 0,
            Self::One { entry, .. } => {
                let expired = expires(&entry.peer, entry.state);
                if expired {
                    *self = Self::empty(now);
                }
                usize::from(expired)
            }
            Self::Block(block) => block.remove_if(expires),
            Self::Large(large_swarm) => large_swarm.expire(expires, &removed, resume, budget),
        };
        self.settle(now);
        number
    }
}

/// The place of a position in a block.
fn place(at: usize, seeders: usize) -> Place {
    let seeder = at < seeders;
    Place { seeder, list: 0, at: if seeder { at } else { at - seeders } }
}

/// The position of a place in a block.
fn position(place: Place, seeders: usize) -> usize {
    if place.seeder { place.at } else { seeders + place.at }
}

#[cfg(test)]
mod tests;
