//! Visiting torrents and peers in small steps, while other threads announce.
//!
//! The order is that of the hashes read backwards, which growth doesn't change (see [`linear`](crate::linear)). A
//! cursor is a place in that order. So what is stored all the time is visited once, however much is added or removed
//! between steps.

use torrent_ids::InfoHash;

use crate::block::Entry;
use crate::hash::Hasher;
use crate::large_swarm::Resume;
use crate::store::SHARDS;
use crate::{Counts, StoredPeer, SwarmStore};

/// The position of a walk through the torrents; see [`SwarmStore::for_each_torrent`].
#[derive(Clone, Copy, Debug)]
pub struct TorrentCursor {
    shard: usize,
    end: usize,
    /// In the order of hashes, within the shard.
    place: u64,
}

impl TorrentCursor {
    /// Parts of the store that can be walked through separately.
    pub const SHARDS: usize = SHARDS;

    /// Goes through all torrents.
    #[must_use]
    pub const fn new() -> Self {
        Self { shard: 0, end: SHARDS, place: 0 }
    }

    /// Goes through the torrents of one shard, a number below [`SHARDS`](Self::SHARDS). With larger numbers, there are
    /// none.
    #[must_use]
    pub const fn of_shard(shard: usize) -> Self {
        let end = if shard < SHARDS { shard + 1 } else { shard };
        Self { shard, end, place: 0 }
    }
}

impl Default for TorrentCursor {
    fn default() -> Self {
        Self::new()
    }
}

/// The position of a walk through the peers of one torrent; see [`SwarmStore::for_each_peer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerCursor {
    /// In a large swarm with this hasher.
    within: Option<(Hasher, Resume)>,
}

impl<const N: usize> SwarmStore<N> {
    /// Calls `visit` with the next torrents, at least one if there is one, and about as many as `budget`. Returns
    /// whether there may be more.
    ///
    /// ```
    /// # use swarm_store::*;
    /// # let store = SwarmStore::<6>::new([7; 16], 2700, Limits::default());
    /// let mut cursor = TorrentCursor::new();
    /// while store.for_each_torrent(&mut cursor, 1000, |info_hash, counts| {
    ///     println!("{info_hash}: {} seeders", counts.seeders);
    /// }) {}
    /// ```
    ///
    /// A torrent that is stored from the first step to the last is visited exactly once. One that is added or removed
    /// in between is visited once or never. The counts include peers that have expired since the last sweep.
    ///
    /// A shard is locked while `visit` runs. `visit` should be short, and must not call the store, which would block
    /// forever.
    pub fn for_each_torrent(
        &self,
        cursor: &mut TorrentCursor,
        budget: usize,
        mut visit: impl FnMut(&InfoHash, Counts),
    ) -> bool {
        let mut left = budget.max(1);
        while cursor.shard < cursor.end && left > 0 {
            let table = self.lock(cursor.shard);
            while left > 0 {
                let (span, slots) = table.span_slots(cursor.place);
                for slot in slots {
                    // The torrents before the place were visited when they had a bucket of their own.
                    let hash = || self.keys.torrents.hash(&slot.torrent.0);
                    if span.begins_at(cursor.place) || hash().reverse_bits() >= cursor.place {
                        visit(&slot.torrent, slot.counts());
                    }
                }
                // The shard counts as one item, and so does an empty bucket.
                left = left.saturating_sub(slots.len().max(1));
                match span.next {
                    Some(place) => cursor.place = place,
                    None => {
                        cursor.shard += 1;
                        cursor.place = 0;
                        break;
                    }
                }
            }
        }
        cursor.shard < cursor.end
    }

    /// Calls `visit` with the next peers of a torrent, about `budget` of them, and at most some hundreds more; in a
    /// swarm of up to 128, with all. Returns whether there may be more. `now` is in seconds.
    ///
    /// ```
    /// # use swarm_store::*;
    /// # let (store, torrent) = (SwarmStore::<6>::new([7; 16], 2700, Limits::default()), InfoHash([1; 20]));
    /// # let now = 0;
    /// let mut cursor = PeerCursor::default();
    /// while store.for_each_peer(now, &torrent, &mut cursor, 1000, |peer| {
    ///     println!("{:?} announced {} seconds ago", peer.peer, peer.idle);
    /// }) {}
    /// ```
    ///
    /// A peer that is stored from the first step to the last is visited. It is visited twice if it becomes a seeder, or
    /// the swarm becomes small, between two steps; and not at all if it becomes a leecher again. Expired peers are left
    /// out.
    ///
    /// A shard is locked while `visit` runs. `visit` should be short, and must not call the store, which would block
    /// forever.
    pub fn for_each_peer(
        &self,
        now: u32,
        info_hash: &InfoHash,
        cursor: &mut PeerCursor,
        budget: usize,
        mut visit: impl FnMut(&StoredPeer<N>),
    ) -> bool {
        let stamp = self.clock.stamp(now);
        self.walk_peers(info_hash, cursor, budget, |_, entry, seeder| {
            if !self.clock.is_expired(stamp, entry.state) {
                let idle = self.clock.seconds_since(stamp, entry.state);
                visit(&StoredPeer { peer: entry.peer, seeder, completed: entry.state.completed(), idle });
            }
        })
    }

    /// The same with expired peers, and with the torrent's completed count.
    pub(crate) fn walk_peers(
        &self,
        info_hash: &InfoHash,
        cursor: &mut PeerCursor,
        budget: usize,
        mut visit: impl FnMut(u32, Entry<N>, bool),
    ) -> bool {
        let (mut table, found) = self.find(info_hash);
        let Some(location) = found else { return false };
        let slot = table.slot(location);
        let (completed, swarm) = (slot.completed(), &slot.swarm);
        let visit = |entry: Entry<N>, seeder: bool| visit(completed, entry, seeder);
        let Some(large_swarm) = swarm.large() else {
            swarm.for_each(visit);
            return false;
        };
        // A swarm that became small and large again has another order: start again, so that no peer is missed.
        let key = large_swarm.hasher();
        let mut resume = cursor.within.filter(|within| within.0 == key).map(|within| within.1);
        large_swarm.walk(&mut resume, budget, visit);
        cursor.within = resume.map(|resume| (key, resume));
        cursor.within.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tests::torrent;
    use crate::{Announce, Limits, PeerStatus, ThreadContext};

    struct Fixture {
        store: SwarmStore<6>,
        context: ThreadContext,
    }

    fn peer(number: u32) -> [u8; 6] {
        let [a, b, c, d] = number.to_be_bytes();
        [a, b, c, d, 0x1a, 0xe1]
    }

    impl Fixture {
        fn new() -> Self {
            let store = SwarmStore::new([4; 16], 600, Limits::default());
            Self { store, context: ThreadContext::new(5) }
        }

        fn announce(&mut self, now: u32, torrents: u32, number: u32, status: PeerStatus) {
            let announce = Announce { info_hash: torrent(torrents), peer: peer(number), status };
            self.store.announce(now, &announce, &mut [], &mut self.context);
        }
    }

    /// The torrents 0 to 2,999 are stored all the time, while as many others are added or removed.
    #[test]
    fn torrents_are_visited_once_while_the_store_grows_and_shrinks() {
        for growing in [true, false] {
            let mut fixture = Fixture::new();
            let others = 3000..60_000;
            for number in 0..if growing { 3000 } else { others.end } {
                fixture.announce(0, number, 1, PeerStatus::Seeder);
            }
            let mut visited = BTreeMap::new();
            let mut cursor = TorrentCursor::new();
            let mut others = others;
            let mut steps = 0;
            while fixture.store.for_each_torrent(&mut cursor, 100, |info_hash, counts| {
                assert_eq!((counts.seeders, counts.leechers), (1, 0));
                *visited.entry(*info_hash).or_insert(0) += 1;
            }) {
                steps += 1;
                for number in others.by_ref().take(500) {
                    let status = if growing { PeerStatus::Seeder } else { PeerStatus::Stopped };
                    fixture.announce(0, number, 1, status);
                }
            }
            assert!((0..3000).all(|number| visited.get(&torrent(number)) == Some(&1)));
            assert!(visited.values().all(|times| *times == 1));
            assert!(steps > 30, "{steps}");
        }
    }

    #[test]
    fn all_shards_together_have_all_torrents() {
        let mut fixture = Fixture::new();
        for number in 0..5000 {
            fixture.announce(0, number, 1, PeerStatus::Leecher);
        }
        let mut visited = 0;
        for shard in 0..=TorrentCursor::SHARDS {
            let mut cursor = TorrentCursor::of_shard(shard);
            while fixture.store.for_each_torrent(&mut cursor, 1, |_, _| visited += 1) {}
        }
        assert_eq!(visited, 5000);
    }

    fn visit_peers(
        fixture: &mut Fixture,
        mut between: impl FnMut(&mut Fixture),
    ) -> BTreeMap<[u8; 6], Vec<StoredPeer<6>>> {
        let mut visited = BTreeMap::<_, Vec<_>>::new();
        let mut cursor = PeerCursor::default();
        while fixture.store.for_each_peer(100, &torrent(1), &mut cursor, 100, |peer| {
            visited.entry(peer.peer).or_default().push(*peer);
        }) {
            between(fixture);
        }
        visited
    }

    #[test]
    fn peers_are_visited_with_their_state() {
        for peers in [1, 2, 100, 1000] {
            let mut fixture = Fixture::new();
            let status = |number| match number % 3 {
                0 => PeerStatus::Leecher,
                1 => PeerStatus::Seeder,
                _ => PeerStatus::Completed,
            };
            for number in 0..peers {
                fixture.announce(number % 50, 1, number, status(number));
            }
            let visited = visit_peers(&mut fixture, |_| {});
            assert_eq!(visited.len(), peers as usize);
            for number in 0..peers {
                let (seeder, completed) = (number % 3 > 0, number % 3 == 2);
                let idle = 100 - number % 50;
                let expected = StoredPeer { peer: peer(number), seeder, completed, idle };
                assert_eq!(visited[&peer(number)], [expected]);
            }
        }
        assert!(visit_peers(&mut Fixture::new(), |_| {}).is_empty());
    }

    #[test]
    fn peers_of_a_large_swarm_are_visited_once_while_it_grows_and_shrinks() {
        for growing in [true, false] {
            let mut fixture = Fixture::new();
            for number in 0..if growing { 2000 } else { 12_000 } {
                fixture.announce(0, 1, number, PeerStatus::Leecher);
            }
            let mut others = 2000..12_000;
            let visited = visit_peers(&mut fixture, |fixture| {
                for number in others.by_ref().take(600) {
                    let status = if growing { PeerStatus::Leecher } else { PeerStatus::Stopped };
                    fixture.announce(0, 1, number, status);
                }
            });
            assert!(others.is_empty());
            assert!((0..2000).all(|number| visited.contains_key(&peer(number))));
            assert!(visited.values().all(|visits| visits.len() == 1));
        }
    }

    #[test]
    fn peers_of_a_swarm_that_was_small_for_a_while_are_not_missed() {
        let mut fixture = Fixture::new();
        for number in 0..1000 {
            fixture.announce(0, 1, number, PeerStatus::Leecher);
        }
        let mut first = true;
        let visited = visit_peers(&mut fixture, |fixture| {
            if std::mem::take(&mut first) {
                for status in [PeerStatus::Stopped, PeerStatus::Leecher] {
                    (30..1000).for_each(|number| fixture.announce(0, 1, number, status));
                }
            }
        });
        assert!((0..1000).all(|number| visited.contains_key(&peer(number))));
    }

    #[test]
    fn expired_peers_are_left_out() {
        let mut fixture = Fixture::new();
        for number in 0..30 {
            fixture.announce(number * 100, 1, number, PeerStatus::Leecher);
        }
        let mut idle = Vec::new();
        let mut cursor = PeerCursor::default();
        fixture.store.for_each_peer(2900, &torrent(1), &mut cursor, 100, |peer| idle.push(peer.idle));
        idle.sort_unstable();
        assert_eq!(idle, [0, 100, 200, 300, 400, 500, 600]);
    }
}
