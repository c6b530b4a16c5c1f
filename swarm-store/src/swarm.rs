//! The peers of one torrent.
//!
//! They lie in one array: seeders, then leechers, each part in random order. New ones are put at a random place,
//! removed ones are replaced by the last, so the order stays random and a window of it is a fair sample.

use std::hash::Hasher;

use hashbrown::HashTable;
use rand::{Rng, RngExt};
use siphasher::sip::SipHasher13;

/// Up to this many peers a scan finds one as fast as an index would.
const SCAN_UP_TO: usize = 32;
/// An index is given up only well below where it is made, so that a swarm at the border does not make one again and
/// again.
const DROP_INDEX_BELOW: usize = SCAN_UP_TO / 2;

/// What is kept of a peer beside its address.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Time of its last announce, in the store's ticks.
    seen: u32,
    /// Whether it was counted as a completed download.
    completed: bool,
}

#[derive(Debug)]
pub(crate) struct Swarm<const N: usize> {
    peers: Vec<[u8; N]>,
    states: Vec<State>,
    /// How many of the peers, from the front, are seeders.
    seeders: usize,
    /// Positions by peer, once there are many.
    index: Option<Box<Index>>,
}

#[derive(Debug)]
struct Index {
    positions: HashTable<u32>,
    hasher: SipHasher13,
}

/// What is known of a peer that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    at: usize,
    /// Time of its last announce, in ticks.
    pub(crate) seen: u32,
    /// Whether it was counted as a completed download.
    pub(crate) completed: bool,
}

impl<const N: usize> Swarm<N> {
    pub(crate) const fn new() -> Self {
        Self { peers: Vec::new(), states: Vec::new(), seeders: 0, index: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(crate) fn seeders(&self) -> usize {
        self.seeders
    }

    pub(crate) fn leechers(&self) -> usize {
        self.peers.len() - self.seeders
    }

    pub(crate) fn find(&self, peer: &[u8; N]) -> Option<Found> {
        let at = match &self.index {
            Some(index) => {
                let hash = index.hash(peer);
                let is_peer = |at: &u32| self.peers[position(*at)] == *peer;
                position(*index.positions.find(hash, is_peer)?)
            }
            None => self.peers.iter().position(|known| known == peer)?,
        };
        let State { seen, completed } = self.states[at];
        Some(Found { at, seen, completed })
    }

    /// Puts in a peer that is not there. `hasher` carries the store's key.
    pub(crate) fn insert(
        &mut self,
        peer: [u8; N],
        seeder: bool,
        seen: u32,
        completed: bool,
        hasher: &SipHasher13,
        rng: &mut impl Rng,
    ) {
        self.peers.push(peer);
        self.states.push(State { seen, completed });
        let mut at = self.peers.len() - 1;
        if let Some(index) = &mut self.index {
            index.add(&self.peers, at);
        } else if self.peers.len() > SCAN_UP_TO {
            self.index = Some(Box::new(Index::of(&self.peers, hasher)));
        }
        let part = if seeder {
            // The first leecher makes place for it.
            self.swap(at, self.seeders);
            at = self.seeders;
            self.seeders += 1;
            0..self.seeders
        } else {
            self.seeders..self.peers.len()
        };
        self.swap(at, rng.random_range(part));
    }

    /// Notes an announce of a known peer, which may have become a seeder or a leecher.
    pub(crate) fn refresh(
        &mut self,
        found: Found,
        seeder: bool,
        seen: u32,
        completed: bool,
        hasher: &SipHasher13,
        rng: &mut impl Rng,
    ) {
        if (found.at < self.seeders) == seeder {
            self.states[found.at] = State { seen, completed };
        } else {
            let peer = self.remove(found);
            self.insert(peer, seeder, seen, completed, hasher, rng);
        }
    }

    pub(crate) fn remove(&mut self, found: Found) -> [u8; N] {
        let mut at = found.at;
        if at < self.seeders {
            self.seeders -= 1;
            self.swap(at, self.seeders);
            at = self.seeders;
        }
        self.swap(at, self.peers.len() - 1);
        if let Some(index) = &mut self.index {
            index.remove(&self.peers, self.peers.len() - 1);
            if self.peers.len() <= DROP_INDEX_BELOW {
                self.index = None;
            }
        }
        self.states.pop();
        let peer = self.peers.pop();
        // A list that was long and is short gives its memory back.
        if self.peers.capacity() > 16 && self.peers.len() * 4 < self.peers.capacity() {
            self.peers.shrink_to(self.peers.len() * 2);
            self.states.shrink_to(self.peers.len() * 2);
        }
        peer.unwrap_or([0; N]) // `found` came from `find`, so there was one
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a != b {
            if let Some(index) = &mut self.index {
                index.swap(&self.peers, a, b);
            }
            self.peers.swap(a, b);
            self.states.swap(a, b);
        }
    }

    /// Writes a sample of the peers but for the announcer, seeders only if they are wanted; returns how many.
    pub(crate) fn sample(
        &self,
        announcer: Option<Found>,
        with_seeders: bool,
        out: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> usize {
        let (seeders, leechers) = self.peers.split_at(self.seeders);
        let seeders = if with_seeders { seeders } else { &[] };
        let own = announcer.map(|found| found.at);
        let own_seeder = own.filter(|at| *at < seeders.len());
        let own_leecher = own.and_then(|at| at.checked_sub(self.seeders));
        let eligible_seeders = seeders.len() - usize::from(own_seeder.is_some());
        let eligible_leechers = leechers.len() - usize::from(own_leecher.is_some());
        let eligible = eligible_seeders + eligible_leechers;
        let wanted = out.len().min(eligible);
        if wanted == 0 {
            return 0;
        }
        // Each part's share, in proportion to its size; what doesn't divide is decided by chance, so that every peer is
        // as likely as any other.
        let share = wanted * eligible_seeders;
        let by_chance = usize::from(rng.random_range(0..eligible) < share % eligible);
        let from_seeders = share / eligible + by_chance;
        let (first, second) = out[..wanted].split_at_mut(from_seeders);
        window(seeders, own_seeder, first, rng);
        window(leechers, own_leecher, second, rng);
        wanted
    }

    /// Removes the peers last seen before `oldest` among at most `budget` of them, from position `*from` downwards;
    /// `*from` is then where to go on, 0 when all have been looked at. Returns how many were removed.
    pub(crate) fn expire(&mut self, oldest: u32, from: &mut usize, budget: usize) -> usize {
        let before = self.len();
        let stop = from.saturating_sub(budget);
        // Downwards, because a removal fills its place from above.
        while *from > stop {
            *from -= 1;
            let Some(&State { seen, completed }) = self.states.get(*from) else { continue };
            if seen < oldest {
                self.remove(Found { at: *from, seen, completed });
            }
        }
        before - self.len()
    }
}

/// Fills `out` from a random place of `peers` on, around its end, without the peer at `skip`.
fn window<const N: usize>(peers: &[[u8; N]], skip: Option<usize>, out: &mut [[u8; N]], rng: &mut impl Rng) {
    if out.is_empty() {
        return;
    }
    // The order begins after the skipped one, so that it comes last and is never reached.
    let (origin, len) = skip.map_or((0, peers.len()), |skip| (skip + 1, peers.len() - 1));
    let start = rng.random_range(0..len);
    // At most three runs: to the end of the array, from its front, and around the skipped one.
    let mut written = 0;
    let mut offset = start;
    while written < out.len() {
        let at = (origin + offset) % peers.len();
        let run = (len - offset).min(peers.len() - at).min(out.len() - written);
        out[written..written + run].copy_from_slice(&peers[at..at + run]);
        written += run;
        offset = (offset + run) % len;
    }
}

fn position(at: u32) -> usize {
    at as usize // u32 fits into usize on every platform with an operating system
}

impl Index {
    fn of<const N: usize>(peers: &[[u8; N]], hasher: &SipHasher13) -> Self {
        let mut index = Self { positions: HashTable::with_capacity(peers.len() * 2), hasher: *hasher };
        for at in 0..peers.len() {
            index.add(peers, at);
        }
        index
    }

    fn hash(&self, peer: &[u8]) -> u64 {
        hash(&self.hasher, peer)
    }

    fn add<const N: usize>(&mut self, peers: &[[u8; N]], at: usize) {
        let hasher = self.hasher;
        // The store's limits are far below 2^32 peers.
        let value = u32::try_from(at).unwrap_or(u32::MAX);
        let of_position = |at: &u32| hash(&hasher, &peers[position(*at)]);
        self.positions.insert_unique(hash(&hasher, &peers[at]), value, of_position);
    }

    fn remove<const N: usize>(&mut self, peers: &[[u8; N]], at: usize) {
        let hash = self.hash(&peers[at]);
        if let Ok(entry) = self.positions.find_entry(hash, |value| position(*value) == at) {
            entry.remove();
        }
    }

    /// Follows a swap of two peers that has yet to happen.
    fn swap<const N: usize>(&mut self, peers: &[[u8; N]], a: usize, b: usize) {
        let hashes = [a, b].map(|at| self.hash(&peers[at]));
        let buckets = [(hashes[0], a), (hashes[1], b)]
            .map(|(hash, at)| self.positions.find_bucket_index(hash, |value| position(*value) == at));
        if let [Some(first), Some(second)] = buckets {
            let values = [a, b].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
            if let Some(value) = self.positions.get_bucket_mut(first) {
                *value = values[1];
            }
            if let Some(value) = self.positions.get_bucket_mut(second) {
                *value = values[0];
            }
        }
    }
}

/// The keyed hash of some octets.
pub(crate) fn hash(hasher: &SipHasher13, octets: &[u8]) -> u64 {
    let mut hasher = *hasher;
    hasher.write(octets);
    hasher.finish()
}
