//! Putting what a snapshot contains into a store, while other threads announce.

use torrent_ids::InfoHash;

use super::read::Swarms;
use super::record::{Peer, Record};
use crate::block::Entry;
use crate::clock::State;
use crate::context::PREFETCHED;
use crate::swarm::Swarm;
use crate::table::MOST_COMPLETED;
use crate::{SwarmStore, ThreadContext};

/// What became of a part of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Peers that were added.
    pub peers: u64,
    /// Peers that had announced since, so they were in the store.
    pub newer: u64,
    /// Peers that have expired.
    pub expired: u64,
    /// Peers that were not added because the store is full.
    pub refused: u64,
}

impl std::ops::AddAssign for Restored {
    fn add_assign(&mut self, other: Self) {
        self.peers += other.peers;
        self.newer += other.newer;
        self.expired += other.expired;
        self.refused += other.refused;
    }
}

impl<const N: usize> SwarmStore<N> {
    /// Adds the torrents and peers of a part of a snapshot, which was begun `elapsed` seconds before `now`; see
    /// [`Moment::seconds_since`](crate::Moment::seconds_since). Does nothing with peers of the other address family.
    ///
    /// Peers that are in the store are not changed, because they have announced since. Completed counts are added to those
    /// of the store, except for peers that were counted before and since. Peers that have expired meanwhile are left out;
    /// a torrent that is only kept for its completed count is kept as long as if there had been no interruption.
    ///
    /// This store's key must not be that of the store that was written: with the same one, the torrents come in the order
    /// in which they collide, and many don't fit.
    ///
    /// # Complexity
    /// Locks one shard at a time, for at most a thousand peers of one torrent.
    pub fn restore_swarms(
        &self,
        now: u32,
        elapsed: u32,
        swarms: &Swarms<'_>,
        context: &mut ThreadContext,
    ) -> Restored {
        let since = Since { now, elapsed, unit: swarms.unit() };
        let mut restored = Restored::default();
        let mut ahead = swarms.records::<N>();
        let mut torrents = [InfoHash([0; 20]); PREFETCHED];
        for (at, record) in swarms.records::<N>().enumerate() {
            if at % PREFETCHED == 0 {
                let mut len = 0;
                for (torrent, record) in torrents.iter_mut().zip(ahead.by_ref()) {
                    *torrent = record.torrent;
                    len += 1;
                }
                self.prefetch(&torrents[..len], context);
            }
            restored += self.restore_record(&since, &record, context);
        }
        restored
    }

    fn restore_record(&self, since: &Since, record: &Record<'_, N>, context: &mut ThreadContext) -> Restored {
        let mut restored = Restored::default();
        let lifetime = self.peer_lifetime;
        let mut youngest = since.idle(record.empty_for).saturating_add(lifetime);
        if record.len() > 0 {
            youngest = record.peers().map(|peer| since.idle(peer.age)).min().unwrap_or(youngest);
        }
        // For how long there have been no peers; they are removed when they expire.
        let empty_for = youngest.saturating_sub(lifetime);
        let is_empty = record.len() == 0 || youngest > lifetime;
        if is_empty && (record.completed == 0 || empty_for > lifetime) {
            restored.expired = record.len() as u64;
            return restored;
        }
        let hash = context.hash(&self.keys.torrents, &record.torrent);
        let mut table = self.lock_hashed(hash);
        let found = table.find(hash, &record.torrent);
        let emptied = since.now.saturating_sub(empty_for);
        let add = || self.add_hashed(&mut table, emptied, hash, &record.torrent);
        let Some(location) = found.or_else(add) else {
            restored.refused = record.len() as u64;
            return restored;
        };
        let slot = table.slot(location);
        let mut counted_twice = 0;
        if !is_empty {
            self.held.change(&mut slot.swarm, |swarm| {
                let mut room = self.room_for_peers();
                for peer in record.peers() {
                    if since.idle(peer.age) > lifetime {
                        restored.expired += 1;
                    } else if let Some(found) = swarm.find(&peer.peer, peer.seeder) {
                        restored.newer += 1;
                        let both = peer.completed && found.state.completed();
                        counted_twice += u32::from(both);
                        if peer.completed && !both {
                            swarm.set_state(found.place, found.state.with_completed());
                        }
                    } else if room > 0 && self.insert_restored(since, &peer, swarm, context) {
                        restored.peers += 1;
                        room -= 1;
                    } else {
                        restored.refused += 1;
                    }
                }
            });
        }
        // The count is in the first record of a torrent, and the peer may be in another one.
        let completed = slot.completed().saturating_add(record.completed).saturating_sub(counted_twice);
        slot.set_completed(completed.min(MOST_COMPLETED));
        self.forget(&mut table, since.now, location);
        restored
    }

    /// Returns whether there was room.
    fn insert_restored(
        &self,
        since: &Since,
        peer: &Peer<N>,
        swarm: &mut Swarm<N>,
        context: &mut ThreadContext,
    ) -> bool {
        let stamp = self.clock.stamp_before(since.now, since.idle(peer.age));
        let entry = Entry { peer: peer.peer, state: State::new(stamp, peer.completed) };
        let place = swarm.insert(entry, peer.seeder, &self.keys, &mut context.rng);
        if place.is_some() {
            self.networks.add(&entry.peer);
        }
        place.is_some()
    }
}

/// From ages in a snapshot to ages now.
struct Since {
    now: u32,
    elapsed: u32,
    unit: u32,
}

impl Since {
    /// For how many seconds a peer has not announced.
    fn idle(&self, age: u16) -> u32 {
        u32::from(age).saturating_mul(self.unit).saturating_add(self.elapsed)
    }
}
