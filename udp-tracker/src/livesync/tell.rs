//! What the others are told, and the queue on which it waits for it.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use livesync_proto::{Flags, Record};
use swarm_store::{Announce, AnnounceOutcome, Change, PeerStatus};

use crate::counters::Count;

/// Records that may wait: what 600,000 new peers a second make in the tenth of a second that livesync may sleep. 4 MiB.
const QUEUE_LEN: usize = 1 << 16;

/// A known peer is told again once in so many seconds at most: opentracker's ten minutes.
const TELL_AGAIN_AFTER: u32 = 600;

/// A handler's end of the queue: never waits, never allocates.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    queue: SyncSender<Record>,
    /// Seconds.
    tell_again_after: u32,
}

/// A queue for a tracker whose peers live for so many seconds.
pub(crate) fn queue(peer_lifetime: u32) -> (Teller, Receiver<Record>) {
    let (queue, told) = sync_channel(QUEUE_LEN);
    // Where peers are forgotten sooner, they must be told of sooner too. Two such times can pass between two tellings,
    // and what is told arrives up to 15 seconds late.
    let tell_again_after = TELL_AGAIN_AFTER.min(peer_lifetime / 4).max(1);
    (Teller { queue, tell_again_after }, told)
}

impl Teller {
    /// Hands on what an announce from a client has changed, if it is to be told; then returns what to count.
    pub(crate) fn tell<const N: usize>(
        &self,
        now: u32,
        peer: SocketAddr,
        announce: &Announce<N>,
        announced: &AnnounceOutcome,
    ) -> Option<Count> {
        if !self.is_news(now, announced) {
            return None;
        }
        let flags = match announce.status {
            PeerStatus::Leecher => Flags::NONE,
            PeerStatus::Seeder => Flags::SEEDING,
            PeerStatus::Completed => Flags::SEEDING | Flags::COMPLETED,
            PeerStatus::Stopped => Flags::STOPPED,
        };
        let record = Record { info_hash: announce.info_hash, peer, flags };
        let queued = self.queue.try_send(record).is_ok();
        Some(if queued { Count::LivesyncTold } else { Count::LivesyncOverflow })
    }

    fn is_news(&self, now: u32, announced: &AnnounceOutcome) -> bool {
        match announced.change {
            // The latter is a stop too, of a peer that others may know.
            Change::Added | Change::Removed | Change::Nothing => true,
            // Nobody remembers when it was told last. But of all announces in one slot of time, exactly the first comes
            // after an announce of an earlier slot; so a peer is told of once in each, however often it announces.
            Change::Refreshed { after } => {
                let slot = |time: u32| time / self.tell_again_after;
                announced.completed || slot(now.saturating_sub(after)) != slot(now)
            }
            // `StoreFull`: it would be told of at each announce.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udp_tracker_proto::InfoHash;

    fn outcome(change: Change, completed: bool) -> AnnounceOutcome {
        let mut outcome = AnnounceOutcome::default();
        (outcome.change, outcome.completed) = (change, completed);
        outcome
    }

    fn is_news(now: u32, change: Change, completed: bool) -> bool {
        queue(2700).0.is_news(now, &outcome(change, completed))
    }

    #[test]
    fn told_are_the_new_the_completed_the_leaving_and_the_long_silent() {
        for (change, expected) in [
            (Change::Added, true),
            (Change::Removed, true),
            (Change::Nothing, true),
            (Change::StoreFull, false),
            (Change::Refreshed { after: 599 }, false),
            (Change::Refreshed { after: 600 }, true),
            (Change::Refreshed { after: 5000 }, true),
        ] {
            assert_eq!(is_news(600 * 1000 + 599, change, false), expected, "{change:?}");
        }
        assert!(is_news(600 * 1000 + 599, Change::Refreshed { after: 1 }, true));
    }

    /// However often a peer announces: no longer than two slots between two tellings, and not more than one in each.
    #[test]
    fn a_peer_that_announces_often_is_told_again_too() {
        for (lifetime, slot) in [(2700, 600), (4800, 600), (60, 15), (4, 1)] {
            let (teller, _told) = queue(lifetime);
            for every in [1, 5, 7, 60, 299, 300, 590, 600, 601, 1800] {
                let announced = |after| outcome(Change::Refreshed { after }, false);
                let announces = (1_800_000_123..).step_by(every).take(5000 / every + 10);
                let after = u32::try_from(every).unwrap();
                let told: Vec<u32> =
                    announces.filter(|now| teller.is_news(*now, &announced(after))).collect();
                for pair in told.windows(2) {
                    assert!(pair[1] - pair[0] < (2 * slot).max(after + 1), "{every} of {lifetime}: {pair:?}");
                    assert_ne!(pair[0] / slot, pair[1] / slot, "{every} of {lifetime}: {pair:?}");
                }
                assert!(told.len() > 1);
            }
        }
    }

    #[test]
    fn a_full_queue_is_counted_and_waits_for_nobody() {
        let (teller, told) = queue(2700);
        let peer = "192.0.2.1:1".parse().unwrap();
        let announce = Announce { info_hash: InfoHash([1; 20]), peer: [0; 6], status: PeerStatus::Completed };
        let announced = outcome(Change::Added, true);
        for _ in 0..QUEUE_LEN {
            assert_eq!(teller.tell(0, peer, &announce, &announced), Some(Count::LivesyncTold));
        }
        assert_eq!(teller.tell(0, peer, &announce, &announced), Some(Count::LivesyncOverflow));
        let flags = Flags::SEEDING | Flags::COMPLETED;
        assert_eq!(told.recv(), Ok(Record { info_hash: InfoHash([1; 20]), peer, flags }));
        assert_eq!(teller.tell(0, peer, &announce, &announced), Some(Count::LivesyncTold));
    }
}
