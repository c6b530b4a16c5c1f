//! Restoring and removing peers and torrents, without an announce.

use torrent_ids::InfoHash;

use crate::block::Entry;
use crate::clock::State;
use crate::table::MOST_COMPLETED;
use crate::{Change, Counts, StoredPeer, SwarmStore, ThreadContext};

impl<const N: usize> SwarmStore<N> {
    /// Adds a peer that last announced `peer.idle` seconds before `now`, as returned by
    /// [`for_each_peer`](Self::for_each_peer). A peer that is in the store is not changed, because it has announced
    /// since. Nothing is counted as completed.
    ///
    /// The change is [`Added`](Change::Added), [`StoreFull`](Change::StoreFull), or [`Nothing`](Change::Nothing) for a
    /// peer that is in the store or has expired.
    pub fn restore(
        &self,
        now: u32,
        info_hash: &InfoHash,
        peer: &StoredPeer<N>,
        context: &mut ThreadContext,
    ) -> Change {
        let stamp = self.clock.stamp_before(now, peer.idle);
        if peer.idle > self.peer_lifetime {
            return Change::Nothing;
        }
        let (mut table, found) = self.find(info_hash);
        let has_room = self.has_room();
        let add = || if has_room { self.add_torrent(&mut table, now, info_hash) } else { None };
        let Some(location) = found.or_else(add) else { return Change::StoreFull };
        let slot = table.slot(location);
        let change = if slot.swarm.find(&peer.peer, peer.seeder).is_some() {
            Change::Nothing
        } else if !has_room {
            Change::StoreFull
        } else {
            let entry = Entry { peer: peer.peer, state: State::new(stamp, peer.completed) };
            let place = self.insert_entry(&mut slot.swarm, entry, peer.seeder, &mut context.rng);
            if place.is_some() { Change::Added } else { Change::StoreFull }
        };
        self.forget(&mut table, now, location);
        change
    }

    /// Sets the completed count of a torrent, at most 2^24 - 1. If the torrent is not in the store and the count is not
    /// 0, it is added. It is removed when it has been without peers for a peer lifetime. `now` is in seconds.
    ///
    /// Returns whether the count is stored. It is not if the store is full.
    pub fn set_completed(&self, now: u32, info_hash: &InfoHash, completed: u32) -> bool {
        let (mut table, found) = self.find(info_hash);
        if found.is_none() && completed == 0 {
            return true;
        }
        let Some(location) = found.or_else(|| self.add_torrent(&mut table, now, info_hash)) else {
            return false;
        };
        table.slot(location).set_completed(completed.min(MOST_COMPLETED));
        self.forget(&mut table, now, location);
        true
    }

    /// Removes a torrent with all of its peers, as if none had ever announced. Returns its counts, or `None` if it was
    /// not in the store.
    pub fn remove_torrent(&self, info_hash: &InfoHash) -> Option<Counts> {
        let (mut table, found) = self.find(info_hash);
        let removed = self.remove_at(&mut table, found?);
        // To free a million peers takes a while. Other threads should not wait for that, so the lock is released first.
        drop(table);
        self.release(&removed.swarm);
        Some(removed.counts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{held, torrent};
    use crate::{Announce, Limits, PeerCursor, PeerStatus, SweepCursor};

    const LIFETIME: u32 = 600;

    fn store(limits: Limits) -> SwarmStore<6> {
        SwarmStore::new([4; 16], LIFETIME, limits)
    }

    fn peer(number: u32) -> [u8; 6] {
        let [a, b, c, d] = number.to_be_bytes();
        [a, b, c, d, 0x1a, 0xe1]
    }

    fn stored(number: u32, idle: u32) -> StoredPeer<6> {
        StoredPeer {
            peer: peer(number),
            seeder: number.is_multiple_of(2),
            completed: number.is_multiple_of(4),
            idle,
        }
    }

    fn peers_of(store: &SwarmStore<6>, now: u32) -> Vec<StoredPeer<6>> {
        let mut peers = Vec::new();
        let mut cursor = PeerCursor::default();
        while store.for_each_peer(now, &torrent(1), &mut cursor, 100, |peer| peers.push(*peer)) {}
        peers.sort_unstable_by_key(|peer| peer.peer);
        peers
    }

    #[test]
    fn peers_are_restored_with_their_age() {
        // Also at the beginning of time, when the peers announced before it.
        for now in [0, 5, 1_800_000_000] {
            for many in [1, 50, 1000] {
                let store = store(Limits::default());
                let mut context = ThreadContext::new(1);
                for number in 0..many {
                    let change = store.restore(now, &torrent(1), &stored(number, number % 600), &mut context);
                    assert_eq!(change, Change::Added);
                }
                let expected: Vec<_> = (0..many).map(|number| stored(number, number % 600)).collect();
                assert_eq!(peers_of(&store, now), expected);
                assert_eq!(store.scrape(now, &torrent(1)).completed, 0);

                let (later, old) = (now + 300, (0..many).filter(|number| number % 600 > 300).count());
                let mut cursor = SweepCursor::new(0, 1);
                assert_eq!(store.sweep(later, &mut cursor, usize::MAX).peers, old);
            }
        }
    }

    #[test]
    fn peers_that_announced_since_or_expired_are_not_restored() {
        let store = store(Limits::default());
        let mut context = ThreadContext::new(1);
        let announce = Announce { info_hash: torrent(1), peer: peer(3), status: PeerStatus::Seeder };
        store.announce(1000, &announce, &mut [], &mut context);
        assert_eq!(store.restore(1000, &torrent(1), &stored(3, 500), &mut context), Change::Nothing);
        assert_eq!(peers_of(&store, 1000)[0].idle, 0);
        assert_eq!(store.restore(1000, &torrent(2), &stored(3, LIFETIME + 1), &mut context), Change::Nothing);
        assert_eq!(store.restore(1000, &torrent(2), &stored(3, u32::MAX), &mut context), Change::Nothing);
        assert_eq!(held(&store), (1, 1));
    }

    #[test]
    fn a_full_store_refuses_restored_peers() {
        let store = store(Limits::new(2, 2));
        let mut context = ThreadContext::new(1);
        let mut restore = |number, peer| store.restore(0, &torrent(number), &stored(peer, 0), &mut context);
        assert_eq!(
            (restore(1, 1), restore(1, 2), restore(1, 3)),
            (Change::Added, Change::Added, Change::StoreFull)
        );
        assert_eq!(restore(1, 1), Change::Nothing);
        assert!(store.set_completed(0, &torrent(2), 1));
        assert!(!store.set_completed(0, &torrent(3), 1));
        assert_eq!(held(&store), (2, 2));
    }

    #[test]
    fn completed_counts_are_set_and_kept_for_a_lifetime() {
        let store = store(Limits::default());
        assert!(store.set_completed(0, &torrent(1), 7));
        assert!(store.set_completed(0, &torrent(2), u32::MAX));
        assert!(store.set_completed(0, &torrent(3), 0));
        let completed = |number| store.scrape(0, &torrent(number)).completed;
        assert_eq!((completed(1), completed(2), completed(3)), (7, (1 << 24) - 1, 0));
        assert_eq!(store.totals().torrents, 2);
        assert!(store.set_completed(0, &torrent(2), 0));
        assert_eq!(store.totals().torrents, 1);
        for (now, left) in [(LIFETIME, 1), (LIFETIME + 1, 0)] {
            store.sweep(now, &mut SweepCursor::new(0, 1), usize::MAX);
            assert_eq!(store.totals().torrents, left);
        }
    }

    #[test]
    fn a_removed_torrent_is_not_in_the_store() {
        for many in [0, 1, 50, 1000] {
            let store = store(Limits::default());
            let mut context = ThreadContext::new(1);
            store.set_completed(0, &torrent(1), 9);
            for number in 0..many {
                store.restore(0, &torrent(1), &stored(number, 0), &mut context);
            }
            store.restore(0, &torrent(2), &stored(1, 0), &mut context);
            let had = store.remove_torrent(&torrent(1)).expect("is there");
            assert_eq!((had.seeders + had.leechers, had.completed), (many, 9));
            assert_eq!(store.remove_torrent(&torrent(1)), None);
            assert_eq!(store.scrape(0, &torrent(1)), Counts::default());
            assert_eq!(held(&store), (1, 1));
        }
    }
}
