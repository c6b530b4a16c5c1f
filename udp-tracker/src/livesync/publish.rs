//! Which announces are sent to other trackers, and the queue in which they wait.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use livesync_proto::{Flags, Record};
use swarm_store::{AnnounceOutcome, Change, PeerStatus};
use udp_tracker_proto::InfoHash;

use crate::count::Count;

/// The most records that wait: as many as 600,000 new peers a second make while livesync sleeps, at most 0.1 s. 4 MiB.
const QUEUE_LEN: usize = 1 << 16;

/// Seconds after which a known peer is published again, at most once in each such time: opentracker's ten minutes.
const REPEAT_AFTER: u32 = 600;

/// Passes a handler's announces to [`Livesync`](crate::Livesync) through a queue. Never waits and never allocates.
#[derive(Clone, Debug)]
pub struct Publisher {
    queue: SyncSender<Record>,
    /// Seconds.
    repeat_after: u32,
}

/// A queue for a tracker with this peer lifetime, in seconds.
pub(crate) fn queue(peer_lifetime: u32) -> (Publisher, Receiver<Record>) {
    let (queue, queued) = sync_channel(QUEUE_LEN);
    // Where peers expire sooner, they must be published more often. Up to two such times can pass between two records
    // of a peer, and a record arrives up to 15 seconds late.
    let repeat_after = REPEAT_AFTER.min(peer_lifetime / 4).max(1);
    (Publisher { queue, repeat_after }, queued)
}

impl Publisher {
    /// Queues a record of a client's announce if other trackers need it. Then returns what to count.
    pub(crate) fn publish(
        &self,
        now: u32,
        peer: SocketAddr,
        info_hash: InfoHash,
        status: PeerStatus,
        outcome: &AnnounceOutcome,
    ) -> Option<Count> {
        if !self.is_news(now, outcome) {
            return None;
        }
        let flags = match status {
            PeerStatus::Leecher => Flags::NONE,
            PeerStatus::Seeder => Flags::SEEDING,
            PeerStatus::Completed => Flags::SEEDING | Flags::COMPLETED,
            PeerStatus::Stopped => Flags::STOPPED,
        };
        let record = Record { info_hash, peer, flags };
        let is_queued = self.queue.try_send(record).is_ok();
        Some(if is_queued { Count::LivesyncQueued } else { Count::LivesyncQueueFull })
    }

    fn is_news(&self, now: u32, outcome: &AnnounceOutcome) -> bool {
        match outcome.change {
            // `Nothing` is a stop too, of a peer that other trackers may have.
            Change::Added | Change::Removed | Change::Nothing => true,
            // The store doesn't keep when a peer was last published. But of all its announces in one slot of time,
            // exactly the first one follows an announce of an earlier slot. So it is published once in each slot,
            // however often it announces.
            Change::Refreshed { after } => {
                let slot = |time: u32| time / self.repeat_after;
                outcome.completed || slot(now.saturating_sub(after)) != slot(now)
            }
            // A peer that is not stored would be published at each announce.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(change: Change, completed: bool) -> AnnounceOutcome {
        let mut outcome = AnnounceOutcome::default();
        (outcome.change, outcome.completed) = (change, completed);
        outcome
    }

    fn is_news(now: u32, change: Change, completed: bool) -> bool {
        queue(2700).0.is_news(now, &outcome(change, completed))
    }

    #[test]
    fn publishes_new_completed_stopped_and_long_unpublished_peers() {
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

    /// However often it announces: at most two slots pass between two records, and each slot has at most one record.
    #[test]
    fn publishes_again_a_peer_that_announces_often() {
        for (lifetime, slot) in [(2700, 600), (4800, 600), (60, 15), (4, 1)] {
            let (publisher, _queued) = queue(lifetime);
            for every in [1, 5, 7, 60, 299, 300, 590, 600, 601, 1800] {
                let announced = |after| outcome(Change::Refreshed { after }, false);
                let announces = (1_800_000_123..).step_by(every).take(5000 / every + 10);
                let after = u32::try_from(every).unwrap();
                let published: Vec<u32> =
                    announces.filter(|now| publisher.is_news(*now, &announced(after))).collect();
                for pair in published.windows(2) {
                    assert!(pair[1] - pair[0] < (2 * slot).max(after + 1), "{every} of {lifetime}: {pair:?}");
                    assert_ne!(pair[0] / slot, pair[1] / slot, "{every} of {lifetime}: {pair:?}");
                }
                assert!(published.len() > 1);
            }
        }
    }

    #[test]
    fn counts_announces_without_waiting_when_the_queue_is_full() {
        let (publisher, queued) = queue(2700);
        let (torrent, peer) = (InfoHash([1; 20]), "192.0.2.1:1".parse().unwrap());
        let announced = outcome(Change::Added, true);
        let publish = || publisher.publish(0, peer, torrent, PeerStatus::Completed, &announced);
        for _ in 0..QUEUE_LEN {
            assert_eq!(publish(), Some(Count::LivesyncQueued));
        }
        assert_eq!(publish(), Some(Count::LivesyncQueueFull));
        let flags = Flags::SEEDING | Flags::COMPLETED;
        assert_eq!(queued.recv(), Ok(Record { info_hash: torrent, peer, flags }));
        assert_eq!(publish(), Some(Count::LivesyncQueued));
    }
}
