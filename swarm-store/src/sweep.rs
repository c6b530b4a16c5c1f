//! Removing expired peers, in small steps round the store.

use torrent_ids::InfoHash;

use crate::SwarmStore;
use crate::clock::Stamp;
use crate::large_swarm::Resume;
use crate::store::SHARDS;
use crate::table::Location;

/// The position of a sweep, which goes round a part of the store's shards without end.
#[derive(Clone, Copy, Debug)]
pub struct SweepCursor {
    first_shard: usize,
    stride: usize,
    shard: usize,
    /// Within the shard: the beginning of the current span of hashes.
    place: u64,
    /// Within that span, if the sweep stopped inside it.
    halt: Option<Halt>,
}

/// A stop inside the torrents of a bucket.
#[derive(Clone, Copy, Debug)]
struct Halt {
    /// Bits that distinguish the bucket's hashes from those of other buckets.
    bits: u32,
    /// How many torrents are still to be looked at.
    slots: usize,
    /// If the sweep stopped inside a large swarm, the last of these torrents: which one, and where.
    large_swarm: Option<(InfoHash, Resume)>,
}

impl SweepCursor {
    /// Parts of the store that are locked one at a time. To look at an empty one also counts as one item of a budget.
    pub const SHARDS: usize = SHARDS;

    /// A cursor for one of `of` equal parts of the store: thread `part` (from 0) of `of` threads.
    ///
    /// # Panics
    /// When `part` is not below `of`.
    #[must_use]
    pub fn new(part: usize, of: usize) -> Self {
        assert!(part < of, "part {part} of {of}");
        // With more threads than shards, the remaining ones go round the first shards too.
        let first_shard = part % SHARDS;
        Self { first_shard, stride: of.min(SHARDS), shard: first_shard, place: 0, halt: None }
    }
}

/// What a step of a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Expired peers that were removed.
    pub peers: usize,
    /// Torrents that were removed.
    pub torrents: usize,
    /// Whether the cursor has completed a round.
    pub finished_round: bool,
}

/// The state of one call.
struct Step {
    now: u32,
    stamp: Stamp,
    budget: usize,
    swept: Swept,
}

impl<const N: usize> SwarmStore<N> {
    /// Looks at about `budget` torrents and peers, from the position of `cursor` on, and removes the expired ones.
    /// `now` is in seconds. Locks one shard at a time, for no longer than the budget takes and about two hundred peers
    /// more. Frees what a shard without torrents still has allocated.
    ///
    /// A round must not take longer than five peer lifetimes. Ages are kept modulo slightly more than that, so peers
    /// that were not looked at for so long seem young again. A quarter of a lifetime is a good choice.
    pub fn sweep(&self, now: u32, cursor: &mut SweepCursor, budget: usize) -> Swept {
        let mut step = Step { now, stamp: self.stamp(now), budget: budget.max(1), swept: Swept::default() };
        while step.budget > 0 {
            if !self.sweep_shard(cursor, &mut step) {
                break;
            }
            step.budget = step.budget.saturating_sub(1);
            cursor.place = 0;
            cursor.shard += cursor.stride;
            if cursor.shard >= SHARDS {
                cursor.shard = cursor.first_shard;
                step.swept.finished_round = true;
                break;
            }
        }
        step.swept
    }

    /// Continues in the cursor's shard. Returns whether its end was reached.
    fn sweep_shard(&self, cursor: &mut SweepCursor, step: &mut Step) -> bool {
        let mut table = self.lock(cursor.shard);
        while step.budget > 0 {
            let (span, torrents) = table.span(cursor.place);
            // The last bucket of a shard is counted together with the shard itself.
            if torrents == 0 && span.next.is_some() {
                step.budget -= 1;
            }
            // A bucket that was joined with another since is looked at from its start. If it was divided, the remaining
            // torrents have moved down, if at all; the others are in the next span.
            let halt = cursor.halt.take().filter(|halt| halt.bits <= span.bits);
            let mut slots = halt.map_or(torrents, |halt| halt.slots.min(torrents));
            let mut large_swarm = halt.and_then(|halt| halt.large_swarm);
            let (before, held) = (step.swept.torrents, table.totals());
            // Downwards, because the slot of a removed torrent is filled from above.
            while slots > 0 && step.budget > 0 {
                let location = Location { bucket: span.bucket, slot: slots - 1 };
                let slot = table.slot(location);
                let torrent = slot.torrent;
                let mut resume = large_swarm
                    .take()
                    .filter(|large_swarm| large_swarm.0 == torrent)
                    .map(|large_swarm| large_swarm.1);
                step.budget -= 1;
                step.swept.peers += self.expire(step.now, step.stamp, slot, &mut resume, &mut step.budget);
                if let Some(resume) = resume {
                    large_swarm = Some((torrent, resume));
                    break;
                }
                slots -= 1;
                if slot.is_forgettable(step.now, self.peer_lifetime) {
                    table.remove(location, &self.keys.torrents);
                    step.swept.torrents += 1;
                }
            }
            if slots > 0 {
                cursor.halt = Some(Halt { bits: span.bits, slots, large_swarm });
            }
            table.settle(span.bucket, step.swept.torrents - before, &self.keys.torrents);
            table.free_if_empty();
            self.held.count(held, table.totals());
            if slots > 0 {
                return false;
            }
            match span.next {
                Some(place) => cursor.place = place,
                None => return true,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::torrent as numbered;
    use crate::{Announce, Change, Limits, PeerStatus, ThreadContext};

    const LIFETIME: u32 = 600;

    struct Fixture {
        store: SwarmStore<6>,
        cursor: SweepCursor,
        context: ThreadContext,
    }

    impl Fixture {
        fn new() -> Self {
            let store = SwarmStore::new([3; 16], LIFETIME, Limits::default());
            Self { store, cursor: SweepCursor::new(0, 1), context: ThreadContext::new(4) }
        }

        fn announce(&mut self, now: u32, torrent: u32, peer: u32, status: PeerStatus) -> Change {
            let [a, b, c, d] = peer.to_be_bytes();
            let announce = Announce { info_hash: numbered(torrent), peer: [a, b, c, d, 1, 1], status };
            self.store.announce(now, &announce, &mut [], &mut self.context).change
        }
    }

    #[test]
    fn one_round_misses_nothing_while_the_store_grows_and_shrinks() {
        for growing in [true, false] {
            let mut fixture = Fixture::new();
            for torrent in 0..60_000 {
                // More peers in some torrents than are removed at an announce.
                for peer in 0..if torrent % 1000 == 0 { 30 } else { 1 } {
                    fixture.announce(1000, torrent, peer, PeerStatus::Leecher);
                }
                if !growing {
                    fixture.announce(1500, 100_000 + torrent, 0, PeerStatus::Leecher);
                }
            }
            let old = 60_000 + 60 * 29;
            let (mut swept, mut others) = (Swept::default(), 0);
            while !swept.finished_round {
                let step = fixture.store.sweep(1000 + LIFETIME + 1, &mut fixture.cursor, 40);
                swept.peers += step.peers;
                swept.finished_round = step.finished_round;
                for _ in 0..10 {
                    let status = if growing { PeerStatus::Seeder } else { PeerStatus::Stopped };
                    fixture.announce(1000 + LIFETIME + 1, 100_000 + others, 0, status);
                    others += 1;
                }
            }
            assert_eq!(swept.peers, old);
            let left = if growing { others } else { 60_000u32.saturating_sub(others) };
            assert_eq!(fixture.store.totals().peers, left as usize);
        }
    }

    #[test]
    fn a_large_swarm_is_swept_in_steps() {
        let mut fixture = Fixture::new();
        for peer in 0..20_000 {
            fixture.announce(if peer % 2 == 0 { 0 } else { 300 }, 1, peer, PeerStatus::Leecher);
        }
        let mut steps = 0;
        let mut removed = 0;
        loop {
            let swept = fixture.store.sweep(LIFETIME + 1, &mut fixture.cursor, 1000);
            assert!(swept.peers <= 1300);
            removed += swept.peers;
            steps += 1;
            if swept.finished_round {
                break;
            }
            // Elsewhere in the swarm, peers come and go.
            fixture.announce(LIFETIME + 1, 1, 100_000 + steps, PeerStatus::Seeder);
            fixture.announce(LIFETIME + 1, 1, 100_000 + steps / 2, PeerStatus::Stopped);
        }
        assert_eq!(removed, 10_000);
        assert!((15..60).contains(&steps), "{steps}");
    }

    #[test]
    fn a_bucket_that_is_divided_halfway_through_a_large_swarm_is_swept_to_its_end() {
        let mut fixture = Fixture::new();
        // One torrent stays in the bucket. The other goes to the new one, like all that come later.
        let hash = |number: &u32| fixture.store.keys.torrents.hash(&numbered(*number).0);
        let of_one_shard = (0..).filter(|number| hash(number) < 1 << (64 - SHARDS.ilog2()));
        let stays = of_one_shard.clone().find(|number| hash(number) % 2 == 0).expect("there are many");
        let others: Vec<u32> = of_one_shard.filter(|number| hash(number) % 2 == 1).take(30).collect();
        let goes = others[0];
        for torrent in [stays, goes] {
            for peer in 0..1000 {
                fixture.announce(0, torrent, peer, PeerStatus::Leecher);
            }
        }
        let mut removed = fixture.store.sweep(LIFETIME + 1, &mut fixture.cursor, 800).peers;
        assert!((700..1000).contains(&removed), "{removed}");
        for torrent in &others[1..] {
            fixture.announce(LIFETIME + 1, *torrent, 1, PeerStatus::Leecher);
        }
        loop {
            let swept = fixture.store.sweep(LIFETIME + 1, &mut fixture.cursor, 800);
            removed += swept.peers;
            if swept.finished_round {
                break;
            }
        }
        assert_eq!((removed, fixture.store.totals().peers), (2000, 29));
    }

    #[test]
    fn peers_expire_correctly_over_longer_times_than_stamps_hold() {
        let mut fixture = Fixture::new();
        // One peer that stays, and one for an hour at a time, over four times as many seconds as stamps hold.
        for now in (0..4 << 15).step_by(500) {
            let expected = if now == 0 { Change::Added } else { Change::Refreshed { after: 500 } };
            assert_eq!(fixture.announce(now, 1, 1, PeerStatus::Seeder), expected);
            if now % 8000 == 0 {
                assert_eq!(fixture.announce(now, 2, 2, PeerStatus::Leecher), Change::Added);
            }
            let swept = fixture.store.sweep(now, &mut fixture.cursor, usize::MAX);
            let expires = now % 8000 == 1000;
            assert_eq!((swept.peers, swept.finished_round), (usize::from(expires), true), "{now}");
        }
    }
}
