//! The torrents, spread over shards.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use rand::Rng;
use siphasher::sip::SipHasher13;
use udp_tracker_proto::InfoHash;

use crate::swarm::{Swarm, hash};
use crate::{Announce, Announced, Change, Counts, Standing};

/// Enough that a handful of threads seldom meet, and that the growth of one shard is a short matter.
const SHARDS: usize = 1 << 10;

/// Swarms of up to this many peers are rid of expired ones whenever they are touched.
const TIDY_UP_TO: usize = 16;

/// How much the store may hold. What comes beyond is answered, and not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Torrents.
    pub torrents: usize,
    /// Peers of all torrents together.
    pub peers: usize,
}

impl Default for Limits {
    /// Ten million torrents and fifty million peers.
    fn default() -> Self {
        Self { torrents: 10_000_000, peers: 50_000_000 }
    }
}

/// How much the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Torrents, those included that are only remembered for their completed count.
    pub torrents: usize,
    /// Peers of all torrents together.
    pub peers: usize,
}

/// Swarms by info_hash, for peers of `N` octets; see the [crate's page](crate).
///
/// All methods take `&self` and may be called from any number of threads; each locks one shard at a time.
#[derive(Debug)]
pub struct SwarmStore<const N: usize> {
    shards: Box<[Mutex<Shard<N>>]>,
    /// Carries the key.
    hasher: SipHasher13,
    peer_lifetime: u32,
    limits: Limits,
    torrents: AtomicUsize,
    peers: AtomicUsize,
}

#[derive(Debug)]
struct Shard<const N: usize> {
    /// Positions in `slots`, by info_hash.
    index: HashTable<usize>,
    slots: Vec<Slot<N>>,
}

#[derive(Debug)]
struct Slot<const N: usize> {
    torrent: InfoHash,
    completed: u32,
    /// Since when there are no peers; means nothing while there are.
    empty_since: u32,
    swarm: Swarm<N>,
}

/// Where a sweep is: it goes round a part of the store's shards, for ever.
#[derive(Clone, Copy, Debug)]
pub struct SweepCursor {
    first_shard: usize,
    stride: usize,
    shard: usize,
    /// Within the shard, how many slots are still to be looked at; `None` before it is entered.
    slots: Option<usize>,
    /// Within the last of them, how many peers; `None` before it is entered.
    peers: Option<usize>,
}

impl SweepCursor {
    /// Parts of the store that are locked one at a time; looking into an empty one is a step of a sweep too.
    pub const SHARDS: usize = SHARDS;

    /// Goes round one of `of` equal parts of the store: thread `part` (from 0) of as many threads.
    ///
    /// # Panics
    /// When `part` is not below `of`.
    #[must_use]
    pub fn new(part: usize, of: usize) -> Self {
        assert!(part < of, "part {part} of {of}");
        // More threads than shards: the surplus ones go round the first shards too.
        let first_shard = part % SHARDS;
        Self { first_shard, stride: of.min(SHARDS), shard: first_shard, slots: None, peers: None }
    }
}

/// What a step of a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Expired peers that were removed.
    pub peers: usize,
    /// Torrents that were forgotten.
    pub torrents: usize,
    /// Whether the cursor has come round.
    pub finished_round: bool,
}

impl<const N: usize> SwarmStore<N> {
    /// An empty store. `key` keeps outsiders from choosing info_hashes or addresses that collide: take it from the
    /// system's random source. Peers expire `peer_lifetime` seconds after their last announce.
    #[must_use]
    pub fn new(key: [u8; 16], peer_lifetime: u32, limits: Limits) -> Self {
        let shard = || Mutex::new(Shard { index: HashTable::new(), slots: Vec::new() });
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: SipHasher13::new_with_key(&key),
            peer_lifetime,
            limits,
            torrents: AtomicUsize::new(0),
            peers: AtomicUsize::new(0),
        }
    }

    /// Notes what a peer says of itself, and samples others for it into `peers`: as many as it is long, or as many as
    /// may be handed out, whichever is less; never the announcer, no seeders for a seeder, none for one that has
    /// stopped.
    ///
    /// `now` is in seconds. Time that runs backwards keeps peers longer, nothing worse.
    ///
    /// # Complexity
    /// Constant, but for the copy of the peers.
    pub fn announce(
        &self,
        now: u32,
        announce: &Announce<N>,
        peers: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> Announced {
        let hash = self.hash(&announce.torrent);
        let mut shard = self.shard(hash);
        let slot = match shard.find(hash, &announce.torrent) {
            Some(at) => &mut shard.slots[at],
            None if announce.standing == Standing::Stopped => return Announced::nothing(Counts::default()),
            None if self.torrents.load(Relaxed) >= self.limits.torrents
                || self.peers.load(Relaxed) >= self.limits.peers =>
            {
                return Announced::no_room(Counts::default(), 0);
            }
            None => {
                self.torrents.fetch_add(1, Relaxed);
                shard.add(hash, announce.torrent, &self.hasher)
            }
        };
        self.tidy(now, slot);
        let announced = self.announce_to(slot, now, announce, peers, rng);
        if slot.is_forgettable(now, self.peer_lifetime) {
            let torrent = announce.torrent;
            shard.remove(hash, &torrent, &self.hasher);
            self.torrents.fetch_sub(1, Relaxed);
        }
        announced
    }

    /// The counts of a torrent; zeros for one that is not known. `now` is in seconds.
    #[must_use]
    pub fn scrape(&self, now: u32, torrent: &InfoHash) -> Counts {
        let hash = self.hash(torrent);
        let mut shard = self.shard(hash);
        let Some(at) = shard.find(hash, torrent) else { return Counts::default() };
        let slot = &mut shard.slots[at];
        self.tidy(now, slot);
        slot.counts()
    }

    /// Looks at up to about `budget` torrents and peers, from where `cursor` stands, and removes the expired; `now` is
    /// in seconds. Locks one shard at a time, and holds no lock for longer than the budget takes.
    pub fn sweep(&self, now: u32, cursor: &mut SweepCursor, budget: usize) -> Swept {
        let mut swept = Swept::default();
        let mut budget = budget.max(1);
        while budget > 0 {
            self.sweep_shard(now, cursor, &mut budget, &mut swept);
            if cursor.slots.is_none() {
                cursor.shard += cursor.stride;
                budget = budget.saturating_sub(1);
                if cursor.shard >= self.shards.len() {
                    cursor.shard = cursor.first_shard;
                    swept.finished_round = true;
                    break;
                }
            }
        }
        swept
    }

    /// How much the store holds.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals { torrents: self.torrents.load(Relaxed), peers: self.peers.load(Relaxed) }
    }

    fn announce_to(
        &self,
        slot: &mut Slot<N>,
        now: u32,
        announce: &Announce<N>,
        peers: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> Announced {
        let oldest = now.saturating_sub(self.peer_lifetime);
        let swarm = &mut slot.swarm;
        let mut found = swarm.find(&announce.peer);
        if let Some(expired) = found.filter(|found| found.seen < oldest) {
            swarm.remove(expired);
            self.peers.fetch_sub(1, Relaxed);
            found = None;
        }
        let seeder = match announce.standing {
            Standing::Leecher => false,
            Standing::Seeder | Standing::Finished => true,
            Standing::Stopped => {
                let Some(found) = found else { return Announced::nothing(slot.counts()) };
                swarm.remove(found);
                self.peers.fetch_sub(1, Relaxed);
                slot.empty_since = now;
                return Announced { change: Change::Removed, ..Announced::nothing(slot.counts()) };
            }
        };
        if found.is_none() && self.peers.load(Relaxed) >= self.limits.peers {
            let told = swarm.sample(None, !seeder, peers, rng);
            return Announced::no_room(slot.counts(), told);
        }
        let had_completed = found.is_some_and(|found| found.completed);
        let completes = announce.standing == Standing::Finished && !had_completed;
        let change = match found {
            Some(found) => {
                let change = Change::Refreshed { after: now.saturating_sub(found.seen) };
                swarm.refresh(found, seeder, now, had_completed || completes, &self.hasher, rng);
                change
            }
            None => {
                swarm.insert(announce.peer, seeder, now, completes, &self.hasher, rng);
                self.peers.fetch_add(1, Relaxed);
                Change::Added
            }
        };
        slot.completed = slot.completed.saturating_add(u32::from(completes));
        let announcer = if peers.is_empty() { None } else { slot.swarm.find(&announce.peer) };
        let told = slot.swarm.sample(announcer, !seeder, peers, rng);
        Announced { change, completed: completes, counts: slot.counts(), peers: told }
    }

    /// Rids a small swarm of its expired peers.
    fn tidy(&self, now: u32, slot: &mut Slot<N>) {
        let mut from = slot.swarm.len();
        if (1..=TIDY_UP_TO).contains(&from) {
            self.expire(now, slot, &mut from, TIDY_UP_TO);
        }
    }

    fn expire(&self, now: u32, slot: &mut Slot<N>, from: &mut usize, budget: usize) -> usize {
        let removed = slot.swarm.expire(now.saturating_sub(self.peer_lifetime), from, budget);
        if removed > 0 {
            self.peers.fetch_sub(removed, Relaxed);
            slot.empty_since = now;
        }
        removed
    }

    fn sweep_shard(&self, now: u32, cursor: &mut SweepCursor, budget: &mut usize, swept: &mut Swept) {
        let mut guard = self.lock(cursor.shard);
        let shard = &mut *guard;
        // Downwards, because a forgotten torrent's slot is filled from above.
        let mut slots = cursor.slots.unwrap_or(shard.slots.len()).min(shard.slots.len());
        while slots > 0 {
            if *budget == 0 {
                cursor.slots = Some(slots);
                return;
            }
            *budget -= 1;
            let slot = &mut shard.slots[slots - 1];
            let mut peers = cursor.peers.take().unwrap_or(slot.swarm.len()).min(slot.swarm.len());
            let looked_at = peers.min(*budget);
            *budget -= looked_at;
            swept.peers += self.expire(now, slot, &mut peers, looked_at);
            if peers > 0 {
                cursor.slots = Some(slots);
                cursor.peers = Some(peers);
                return;
            }
            slots -= 1;
            if slot.is_forgettable(now, self.peer_lifetime) {
                let torrent = slot.torrent;
                shard.remove(self.hash(&torrent), &torrent, &self.hasher);
                self.torrents.fetch_sub(1, Relaxed);
                swept.torrents += 1;
            }
        }
        cursor.slots = None;
    }

    fn hash(&self, torrent: &InfoHash) -> u64 {
        hash(&self.hasher, &torrent.0)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<N>> {
        // Neither the lowest bits nor the highest, which the shard's own table uses.
        let bits = (hash >> 32).to_le_bytes();
        self.lock(usize::from(u16::from_le_bytes([bits[0], bits[1]])) % SHARDS)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard<N>> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<const N: usize> Shard<N> {
    fn find(&self, hash: u64, torrent: &InfoHash) -> Option<usize> {
        self.index.find(hash, |at| self.slots[*at].torrent == *torrent).copied()
    }

    fn add(&mut self, hash: u64, torrent: InfoHash, hasher: &SipHasher13) -> &mut Slot<N> {
        let Self { index, slots } = self;
        let at = slots.len();
        index.insert_unique(hash, at, |at| crate::swarm::hash(hasher, &slots[*at].torrent.0));
        slots.push(Slot { torrent, completed: 0, empty_since: 0, swarm: Swarm::new() });
        &mut slots[at]
    }

    fn remove(&mut self, hash: u64, torrent: &InfoHash, hasher: &SipHasher13) {
        let Self { index, slots } = self;
        let Ok(entry) = index.find_entry(hash, |at| slots[*at].torrent == *torrent) else { return };
        let (at, _) = entry.remove();
        let last = slots.len() - 1;
        if at != last {
            let moved = crate::swarm::hash(hasher, &slots[last].torrent.0);
            if let Some(position) = index.find_mut(moved, |position| *position == last) {
                *position = at;
            }
        }
        slots.swap_remove(at);
        if slots.capacity() > 16 && slots.len() * 4 < slots.capacity() {
            slots.shrink_to(slots.len() * 2);
            index.shrink_to(slots.len() * 2, |at| crate::swarm::hash(hasher, &slots[*at].torrent.0));
        }
    }
}

impl<const N: usize> Slot<N> {
    fn counts(&self) -> Counts {
        let count = |peers: usize| u32::try_from(peers).unwrap_or(u32::MAX);
        Counts {
            seeders: count(self.swarm.seeders()),
            leechers: count(self.swarm.leechers()),
            completed: self.completed,
        }
    }

    /// Whether nothing would be lost, or nothing that has not been idle for long.
    fn is_forgettable(&self, now: u32, peer_lifetime: u32) -> bool {
        self.swarm.is_empty() && (self.completed == 0 || now.saturating_sub(self.empty_since) > peer_lifetime)
    }
}

impl Announced {
    fn nothing(counts: Counts) -> Self {
        Self { change: Change::Nothing, completed: false, counts, peers: 0 }
    }

    fn no_room(counts: Counts, peers: usize) -> Self {
        Self { change: Change::NoRoom, completed: false, counts, peers }
    }
}
