//! Going round the store in small steps, and removing what has expired.

use std::sync::atomic::Ordering::Relaxed;

use udp_tracker_proto::InfoHash;

use crate::SwarmStore;
use crate::clock::Stamp;
use crate::crowd::Resume;
use crate::store::SHARDS;
use crate::table::Location;

/// Where a sweep is: it goes round a part of the store's shards, for ever.
#[derive(Clone, Copy, Debug)]
pub struct SweepCursor {
    first_shard: usize,
    stride: usize,
    shard: usize,
    /// Within the shard: where the span of hashes begins whose torrents are being looked at.
    place: u64,
    /// Within that span, if the sweep has stopped there.
    halt: Option<Halt>,
}

/// Halfway through the torrents of a bucket.
#[derive(Clone, Copy, Debug)]
struct Halt {
    /// Bits that told the bucket's hashes from others'.
    bits: u32,
    /// How many torrents are still to be looked at.
    slots: usize,
    /// Halfway through the peers of the last of them: whose, and where.
    crowd: Option<(InfoHash, Resume)>,
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
        Self { first_shard, stride: of.min(SHARDS), shard: first_shard, place: 0, halt: None }
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

/// One call's way through the store.
struct Step {
    now: u32,
    stamp: Stamp,
    budget: usize,
    swept: Swept,
}

impl<const N: usize> SwarmStore<N> {
    /// Looks at up to about `budget` torrents and peers, from where `cursor` stands, and removes the expired; `now` is
    /// in seconds. Locks one shard at a time, and holds no lock for longer than the budget takes, and some two hundred
    /// peers more.
    ///
    /// A round must not take longer than five peer lifetimes: ages are kept modulo a little more, and peers that nobody
    /// has looked at for so long seem young again. A quarter of a lifetime is a good measure.
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

    /// Goes on in the cursor's shard; whether to its end.
    fn sweep_shard(&self, cursor: &mut SweepCursor, step: &mut Step) -> bool {
        let mut table = self.lock(cursor.shard);
        while step.budget > 0 {
            let (span, torrents) = table.span(cursor.place);
            // A bucket that was joined with another meanwhile is looked at anew. In one that was divided, the torrents
            // that are left have moved down if at all; the others are in the next span.
            let halt = cursor.halt.take().filter(|halt| halt.bits <= span.bits);
            let mut slots = halt.map_or(torrents, |halt| halt.slots.min(torrents));
            let mut crowd = halt.and_then(|halt| halt.crowd);
            let before = step.swept.torrents;
            // Downwards, because a forgotten torrent's slot is filled from above.
            while slots > 0 && step.budget > 0 {
                let location = Location { bucket: span.bucket, slot: slots - 1 };
                let slot = table.slot(location);
                let torrent = slot.torrent;
                let mut resume = crowd.take().filter(|crowd| crowd.0 == torrent).map(|crowd| crowd.1);
                step.budget -= 1;
                step.swept.peers += self.expire(step.now, step.stamp, slot, &mut resume, &mut step.budget);
                if let Some(resume) = resume {
                    crowd = Some((torrent, resume));
                    break;
                }
                slots -= 1;
                if slot.is_forgettable(step.now, self.peer_lifetime) {
                    table.remove(location, &self.hasher);
                    self.held.torrents.fetch_sub(1, Relaxed);
                    step.swept.torrents += 1;
                }
            }
            if slots > 0 {
                cursor.halt = Some(Halt { bits: span.bits, slots, crowd });
            }
            table.settle(step.swept.torrents - before, &self.hasher);
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
