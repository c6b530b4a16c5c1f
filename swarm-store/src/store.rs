//! The torrents, spread over shards.

use rand::Rng;
use torrent_ids::InfoHash;

use crate::block::Entry;
use crate::clock::{Clock, Stamp, State};
use crate::context::{PREFETCHED, ThreadContext};
use crate::hash::Keys;
use crate::held::Held;
use crate::large_swarm::Resume;
use crate::memory::{Memory, allocated};
use crate::networks::Networks;
use crate::raw::prefetch;
use crate::sample::Place;
use crate::swarm::{Found, Swarm};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::table::{Location, Slot, Stage, Table};
use crate::{Announce, AnnounceOutcome, Change, Counts, Limits, PeerStatus, Totals, work};

/// A power of two, large enough that a handful of threads seldom wait for the same lock.
pub(crate) const SHARDS: usize = 1 << 10;

/// Swarms of up to this many peers are cleared of expired ones at every announce and scrape.
const SMALL: usize = 16;

/// Swarms by info_hash, for peers of `N` bytes; see the [crate's page](crate).
///
/// All methods take `&self` and may be called from any number of threads; each locks one shard at a time.
#[derive(Debug)]
pub struct SwarmStore<const N: usize> {
    shards: Box<[Shard<N>]>,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) peer_lifetime: u32,
    pub(crate) limits: Limits,
    pub(crate) held: Held,
    pub(crate) networks: Networks<N>,
}

/// A store of fewer bytes, without its counters of networks, is in the processor's caches anyway, but maybe in those of another core.
const NEAR: usize = 3 << 20;

/// Has a cache line of its own, so that threads in neighbouring shards don't slow each other.
#[derive(Debug)]
#[repr(align(64))]
struct Shard<const N: usize>(Mutex<Table<N>>);

impl<const N: usize> SwarmStore<N> {
    /// An empty store. `key` is a secret that prevents others from choosing info_hashes or addresses that collide: take
    /// it from the system's random source. Peers expire `peer_lifetime` seconds after their last announce.
    #[must_use]
    pub fn new(key: [u8; 16], peer_lifetime: u32, limits: Limits) -> Self {
        Self::with_memory(key, peer_lifetime, limits, &Memory::unlimited())
    }

    /// The same, with a ceiling on memory, which other stores may share.
    #[must_use]
    pub fn with_memory(key: [u8; 16], peer_lifetime: u32, limits: Limits, memory: &Memory) -> Self {
        let shards: Box<[_]> =
            std::iter::repeat_with(|| Shard(Mutex::new(Table::new()))).take(SHARDS).collect();
        let (keys, clock) = (Keys::new(key), Clock::new(peer_lifetime));
        let networks = Networks::new(keys.networks, &limits, memory);
        let held = Held::new(allocated(size_of_val(&*shards)) + networks.bytes(), memory);
        Self { shards, keys, clock, peer_lifetime, limits, held, networks }
    }

    /// Stores what a peer announces, and writes a sample of other peers into `peers`: as many as it has room for, or as
    /// many as may be returned, whichever is less. The sample never contains the announcing peer, has no seeders for a
    /// seeder, and is empty for a peer that stopped.
    ///
    /// `now` is in seconds. If time runs backwards, by two lifetimes at most, peers are kept longer; there is no other
    /// effect.
    ///
    /// # Complexity
    /// Constant, except for copying the peers, whatever torrents and peers there are: a peer for which it would take
    /// longer is refused, as when the store is full.
    pub fn announce(
        &self,
        now: u32,
        announce: &Announce<N>,
        peers: &mut [[u8; N]],
        context: &mut ThreadContext,
    ) -> AnnounceOutcome {
        let hash = context.hash(&self.keys.torrents, &announce.info_hash);
        let mut table = self.lock(shard(hash));
        let location = match table.find(hash, &announce.info_hash) {
            Some(location) => location,
            None if announce.status == PeerStatus::Stopped => {
                return AnnounceOutcome::nothing(Counts::default());
            }
            None => return self.announce_first(&mut table, now, hash, announce, &mut context.rng),
        };
        self.expire_if_small(now, table.slot(location));
        self.announce_to(&mut table, location, now, announce, peers, &mut context.rng)
    }

    /// The counts of a torrent; zeros if it is not in the store. `now` is in seconds.
    #[must_use]
    pub fn scrape(&self, now: u32, torrent: &InfoHash) -> Counts {
        let (mut table, found) = self.find(torrent);
        let Some(location) = found else { return Counts::default() };
        let slot = table.slot(location);
        self.expire_if_small(now, slot);
        slot.counts()
    }

    /// Asks the processor to load the memory that announces and scrapes of these torrents will need, for many torrents
    /// at once. It only affects how long those calls take, if they follow soon. Use it for some dozens of torrents, in
    /// the order in which they will be announced.
    ///
    /// In a large store, the memory comes from outside the processor. In a small one, it may be in the cache of another
    /// core, where another thread has used it.
    pub fn prefetch<'a>(
        &self,
        torrents: impl IntoIterator<Item = &'a InfoHash>,
        context: &mut ThreadContext,
    ) {
        let stages = if self.held.totals().bytes < NEAR + self.networks.bytes() {
            &[Stage::Swarm][..]
        } else {
            &Stage::ALL
        };
        context.begin_prefetch(self.keys.torrents);
        let mut torrents = torrents.into_iter();
        let mut hashes = [0; PREFETCHED];
        loop {
            let mut len = 0;
            for (hash, torrent) in hashes.iter_mut().zip(torrents.by_ref()) {
                *hash = self.hash(torrent);
                prefetch(&self.shards[shard(*hash)]);
                context.remember(torrent, *hash);
                len += 1;
            }
            let mut left = len;
            for &stage in stages {
                let mut kept = 0;
                for at in 0..left {
                    let hash = hashes[at];
                    // It is not worth waiting for a lock.
                    let table = self.shards[shard(hash)].0.try_lock();
                    if table.is_ok_and(|mut table| table.prefetch(hash, stage)) {
                        hashes[kept] = hash;
                        kept += 1;
                    }
                }
                left = kept;
            }
            if len < PREFETCHED {
                return;
            }
        }
    }

    /// Makes room for so many torrents in all, but not for more than the limits permit. It only affects how long it takes
    /// to add them.
    ///
    /// # Complexity
    /// Locks one shard at a time, for some hundred allocations; for a hundred million torrents, for some thousands.
    pub fn prepare(&self, torrents: usize) {
        const STEPS: usize = 256;
        // A torrent takes more than 40 bytes.
        let most = self.limits.torrents.min(self.held.memory.ceiling() / 40);
        let of_each = torrents.min(most) / SHARDS;
        for shard in 0..SHARDS {
            loop {
                let mut table = self.lock(shard);
                let before = table.totals();
                let is_enough = table.prepare(of_each, STEPS, &self.keys.torrents);
                self.held.count(before, table.totals());
                if is_enough {
                    break;
                }
            }
        }
    }

    /// How many torrents, peers and seeders the store holds, and how many bytes of memory that takes.
    ///
    /// # Complexity
    /// Constant: it reads four numbers, and takes no lock.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.held.totals()
    }

    /// The torrent's shard, and its location, if it is in the store.
    pub(crate) fn find(&self, torrent: &InfoHash) -> (MutexGuard<'_, Table<N>>, Option<Location>) {
        let hash = self.hash(torrent);
        let table = self.lock(shard(hash));
        let found = table.find(hash, torrent);
        (table, found)
    }

    /// Where a torrent is, if it is in the store.
    pub(crate) fn locate(&self, table: &Table<N>, torrent: &InfoHash) -> Option<Location> {
        table.find(self.hash(torrent), torrent)
    }

    /// Adds a torrent that is not in the store, if there is room. Call [`forget`](Self::forget) after it.
    pub(crate) fn add_torrent(&self, table: &mut Table<N>, now: u32, torrent: &InfoHash) -> Option<Location> {
        self.add_hashed(table, now, self.hash(torrent), torrent)
    }

    /// The same for a torrent whose hash is known. If it is left without peers, it has been so since `now`.
    pub(crate) fn add_hashed(
        &self,
        table: &mut Table<N>,
        now: u32,
        hash: u64,
        torrent: &InfoHash,
    ) -> Option<Location> {
        if self.has_room_for_torrent() { self.add_admitted(table, now, hash, torrent) } else { None }
    }

    /// The same for a torrent for which there is room.
    fn add_admitted(
        &self,
        table: &mut Table<N>,
        now: u32,
        hash: u64,
        torrent: &InfoHash,
    ) -> Option<Location> {
        let before = table.totals();
        let location = table.insert(hash, *torrent, now, &self.keys.torrents);
        self.held.count(before, table.totals());
        location
    }

    /// Removes a torrent that has nothing worth keeping.
    pub(crate) fn forget(&self, table: &mut Table<N>, now: u32, location: Location) {
        if table.slot(location).is_forgettable(now, self.peer_lifetime) {
            self.remove_at(table, location);
        }
    }

    /// Removes a torrent.
    pub(crate) fn remove_at(&self, table: &mut Table<N>, location: Location) -> Slot<N> {
        let before = table.totals();
        let removed = table.remove(location, &self.keys.torrents);
        table.settle(location.bucket, 1, &self.keys.torrents);
        self.held.count(before, table.totals());
        removed
    }

    /// An announce of a torrent that is not in the store, by a peer that doesn't stop.
    fn announce_first(
        &self,
        table: &mut Table<N>,
        now: u32,
        hash: u64,
        announce: &Announce<N>,
        rng: &mut impl Rng,
    ) -> AnnounceOutcome {
        let Announce { info_hash, peer, .. } = announce;
        let mut evicted = 0;
        if let Err(change) = self.admit_torrent(now, table, (info_hash, peer), rng, &mut evicted) {
            return AnnounceOutcome::not_stored(change, Counts::default(), 0, evicted);
        }
        match self.add_admitted(table, now, hash, info_hash) {
            None => AnnounceOutcome::not_stored(Change::StoreFull, Counts::default(), 0, evicted),
            Some(location) => {
                let outcome = self.insert(table.slot(location), now, announce, &mut [], rng);
                self.forget(table, now, location);
                AnnounceOutcome { evicted, ..outcome }
            }
        }
    }

    /// An announce of a torrent that is in the store.
    fn announce_to(
        &self,
        table: &mut Table<N>,
        location: Location,
        now: u32,
        announce: &Announce<N>,
        peers: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> AnnounceOutcome {
        let stamp = self.clock.stamp(now);
        let slot = table.slot(location);
        let swarm = &mut slot.swarm;
        let mut found = swarm.find(&announce.peer, announce.status != PeerStatus::Leecher);
        if let Some(expired) = found.filter(|found| self.clock.is_expired(stamp, found.state)) {
            self.remove_peer(swarm, expired.place, now);
            found = None;
        }
        let Some(Found { place, state: before }) = found else {
            return self.announce_new(table, location, now, announce, peers, rng);
        };
        let Some(seeder) = is_seeder(announce.status) else {
            self.remove_peer(swarm, place, now);
            let counts = slot.counts();
            self.forget(table, now, location);
            return AnnounceOutcome { change: Change::Removed, ..AnnounceOutcome::nothing(counts) };
        };
        let completes = announce.status == PeerStatus::Completed && !before.completed();
        let state = State::new(stamp, before.completed() || completes);
        let place = if place.seeder == seeder {
            // Most announces are this, and nothing that is counted changes.
            swarm.set_state(place, state);
            Some(place)
        } else {
            let removed = |peer: &[u8; N]| self.networks.remove(peer);
            let change_side =
                |swarm: &mut Swarm<N>| swarm.change_side((place, state), now, &self.keys, rng, removed);
            self.held.change(swarm, change_side)
        };
        let returned = swarm.sample(place, !seeder, peers, rng);
        if place.is_none() {
            let counts = slot.counts();
            self.forget(table, now, location);
            return AnnounceOutcome::not_stored(Change::StoreFull, counts, returned, 0);
        }
        if completes {
            slot.count_completed();
        }
        let change = Change::Refreshed { after: self.clock.seconds_since(stamp, before) };
        let (counts, peers) = (slot.counts(), returned);
        AnnounceOutcome { change, completed: completes, counts, peers, evicted: 0 }
    }

    /// An announce of a peer that is not in its swarm.
    fn announce_new(
        &self,
        table: &mut Table<N>,
        location: Location,
        now: u32,
        announce: &Announce<N>,
        peers: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> AnnounceOutcome {
        let Some(seeder) = is_seeder(announce.status) else {
            let counts = table.slot(location).counts();
            self.forget(table, now, location);
            return AnnounceOutcome::nothing(counts);
        };
        let mut evicted = 0;
        let admitted = self.admit_peer(now, table, location, &announce.peer, rng, &mut evicted);
        // Those that were removed may have moved the torrent.
        let location = if evicted == 0 { Some(location) } else { self.locate(table, &announce.info_hash) };
        let (change, Some(location)) = (admitted.err(), location) else {
            return AnnounceOutcome::not_stored(Change::StoreFull, Counts::default(), 0, evicted);
        };
        let slot = table.slot(location);
        let outcome = match change {
            None => self.insert(slot, now, announce, peers, rng),
            Some(change) => {
                let returned = slot.swarm.sample(None, !seeder, peers, rng);
                AnnounceOutcome::not_stored(change, slot.counts(), returned, 0)
            }
        };
        self.forget(table, now, location);
        AnnounceOutcome { evicted, ..outcome }
    }

    /// Inserts a peer for which there is room, and returns a sample of the others.
    fn insert(
        &self,
        slot: &mut Slot<N>,
        now: u32,
        announce: &Announce<N>,
        peers: &mut [[u8; N]],
        rng: &mut impl Rng,
    ) -> AnnounceOutcome {
        let seeder = announce.status != PeerStatus::Leecher;
        let completed = announce.status == PeerStatus::Completed;
        let entry = Entry { peer: announce.peer, state: State::new(self.clock.stamp(now), completed) };
        let place = self.insert_entry(&mut slot.swarm, entry, seeder, rng);
        let returned = slot.swarm.sample(place, !seeder, peers, rng);
        if place.is_none() {
            return AnnounceOutcome::not_stored(Change::StoreFull, slot.counts(), returned, 0);
        }
        if completed {
            slot.count_completed();
        }
        AnnounceOutcome {
            change: Change::Added,
            completed,
            counts: slot.counts(),
            peers: returned,
            evicted: 0,
        }
    }

    /// Inserts a peer, and counts it. `None` if its part of the swarm is full, or if there is no memory.
    pub(crate) fn insert_entry(
        &self,
        swarm: &mut Swarm<N>,
        entry: Entry<N>,
        seeder: bool,
        rng: &mut impl Rng,
    ) -> Option<Place> {
        let place = self.held.change(swarm, |swarm| swarm.insert(entry, seeder, &self.keys, rng));
        if place.is_some() {
            self.networks.add(&entry.peer);
        }
        place
    }

    /// Removes the peer at a place of a swarm.
    pub(crate) fn remove_peer(&self, swarm: &mut Swarm<N>, place: Place, now: u32) {
        self.held.change(swarm, |swarm| swarm.remove(place, now, |peer| self.networks.remove(peer)));
    }

    /// Counts the peers of a swarm, which was taken out of the store, as removed.
    pub(crate) fn release(&self, swarm: &Swarm<N>) {
        swarm.for_all(|peer| self.networks.remove(peer));
        self.held.count(swarm.totals(), Totals::default());
    }

    /// Removes the expired peers of a small swarm.
    pub(crate) fn expire_if_small(&self, now: u32, slot: &mut Slot<N>) {
        if slot.swarm.len() > SMALL {
            return;
        }
        work::count(slot.swarm.len());
        let stamp = self.clock.stamp(now);
        let mut any = false;
        slot.swarm.for_each(|entry, _| any |= self.clock.is_expired(stamp, entry.state));
        if any {
            self.expire(now, stamp, slot, &mut None, &mut 0);
        }
    }

    /// Removes the expired peers of a swarm; see [`Swarm::expire`](crate::swarm::Swarm::expire).
    pub(crate) fn expire(
        &self,
        now: u32,
        stamp: Stamp,
        slot: &mut Slot<N>,
        resume: &mut Option<Resume>,
        budget: &mut usize,
    ) -> usize {
        let is_expired = |state| self.clock.is_expired(stamp, state);
        let removed = |peer: &[u8; N]| self.networks.remove(peer);
        self.held.change(&mut slot.swarm, |swarm| swarm.expire(now, is_expired, removed, resume, budget))
    }

    pub(crate) fn stamp(&self, now: u32) -> Stamp {
        self.clock.stamp(now)
    }

    fn hash(&self, torrent: &InfoHash) -> u64 {
        self.keys.torrents.hash(&torrent.0)
    }

    /// The shard of a hash.
    pub(crate) fn lock_hashed(&self, hash: u64) -> MutexGuard<'_, Table<N>> {
        self.lock(shard(hash))
    }

    pub(crate) fn lock(&self, shard: usize) -> MutexGuard<'_, Table<N>> {
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a peer that announces this is stored among the seeders; `None` if it leaves.
fn is_seeder(status: PeerStatus) -> Option<bool> {
    match status {
        PeerStatus::Leecher => Some(false),
        PeerStatus::Seeder | PeerStatus::Completed => Some(true),
        PeerStatus::Stopped => None,
    }
}

/// The shard of a hash: its highest bits.
fn shard(hash: u64) -> usize {
    let [highest, second, ..] = hash.to_be_bytes();
    usize::from(u16::from_be_bytes([highest, second])) >> (16 - SHARDS.ilog2())
}

impl<const N: usize> Slot<N> {
    pub(crate) fn counts(&self) -> Counts {
        let count = |peers: usize| u32::try_from(peers).unwrap_or(u32::MAX);
        let seeders = self.swarm.seeders();
        Counts {
            seeders: count(seeders),
            leechers: count(self.swarm.len() - seeders),
            completed: self.completed(),
        }
    }
}

impl AnnounceOutcome {
    fn nothing(counts: Counts) -> Self {
        Self { change: Change::Nothing, completed: false, counts, peers: 0, evicted: 0 }
    }

    fn not_stored(change: Change, counts: Counts, peers: usize, evicted: u32) -> Self {
        Self { change, completed: false, counts, peers, evicted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{held, torrent};

    /// A store with one peer in each torrent, but many in every twentieth.
    fn filled(torrents: u32) -> SwarmStore<6> {
        let store = SwarmStore::new([3; 16], 600, Limits::default());
        for number in 0..torrents {
            for peer in 0..if number % 20 == 0 { 20 } else { 1 } {
                announce(&store, number, peer, PeerStatus::Seeder);
            }
        }
        store
    }

    fn announce(store: &SwarmStore<6>, number: u32, peer: u8, status: PeerStatus) -> AnnounceOutcome {
        let announce = Announce { info_hash: torrent(number), peer: [peer; 6], status };
        store.announce(0, &announce, &mut [], &mut ThreadContext::new(peer.into()))
    }

    /// The most bits of a hash that select a bucket in any shard.
    fn bits(store: &SwarmStore<6>) -> u32 {
        (0..SHARDS).map(|shard| store.lock(shard).span(0).0.bits).max().unwrap_or(0)
    }

    #[test]
    fn shrinks_when_torrents_leave_and_when_they_expire() {
        for expire in [false, true] {
            let store = filled(50_000);
            assert!(bits(&store) >= 2);
            if expire {
                let mut cursor = crate::SweepCursor::new(0, 1);
                while !store.sweep(601, &mut cursor, 1000).finished_round {}
            } else {
                for number in 0..50_000 {
                    for peer in 0..if number % 20 == 0 { 20 } else { 1 } {
                        assert_eq!(
                            announce(&store, number, peer, PeerStatus::Stopped).change,
                            Change::Removed
                        );
                    }
                }
            }
            assert_eq!((bits(&store), held(&store)), (0, (0, 0)));
        }
    }

    #[test]
    fn a_prepared_store_holds_the_same_and_shrinks_again() {
        let store = filled(5000);
        let before = held(&store);
        store.prepare(usize::MAX);
        let buckets = bits(&store);
        assert!(buckets >= 9, "{buckets}");
        assert_eq!(held(&store), before);
        assert_eq!(store.scrape(0, &torrent(40)).seeders, 20);
        let mut cursor = crate::SweepCursor::new(0, 1);
        while !store.sweep(601, &mut cursor, 1000).finished_round {}
        assert_eq!(held(&store), (0, 0));
        // Preparing for fewer torrents than there are changes nothing.
        let store = filled(50_000);
        let before = (bits(&store), store.totals());
        store.prepare(1000);
        assert_eq!((bits(&store), store.totals()), before);
    }

    #[test]
    fn prefetching_changes_nothing() {
        let store = filled(50_000);
        let before = store.totals();
        let mut context = ThreadContext::new(1);
        assert!(before.bytes >= NEAR);
        // Stored and unknown torrents: fewer than one round of prefetching, as many, and more.
        for many in [0, 1, 64, 65, 600] {
            store.prefetch((0..many).map(torrent).collect::<Vec<_>>().iter(), &mut context);
        }
        // A locked shard is skipped.
        let hash = store.hash(&torrent(7));
        let guard = store.lock(shard(hash));
        store.prefetch([&torrent(7)], &mut context);
        drop(guard);
        assert_eq!(store.totals(), before);
        assert_eq!(store.scrape(0, &torrent(40)).seeders, 20);
    }
}
