//! Chokes and unchokes peers.

use std::time::Duration;

use super::Engine;
use super::peer::Peer;
use crate::choker::{Candidate, SLOTS};
use crate::status::Phase;

/// The least time between two assignments of free slots. Peers whose interest changes often can't cause more work than
/// this.
const FILL: Duration = Duration::from_millis(100);

impl Engine {
    /// Gives free slots to peers that wait for one.
    pub(super) fn fill_slots(&mut self, now: Duration) {
        self.exchange.rechoke = false;
        self.next_fill = now + FILL;
        let takes = |peer: &Peer| !peer.connection.am_choking() && peer.connection.peer_interested();
        if self.peers.values().filter(|peer| takes(peer)).count() < SLOTS {
            self.choke_round(now);
        }
    }

    /// Chokes and unchokes as the choker decides.
    pub(super) fn choke_round(&mut self, now: Duration) {
        let seeding = self.phase == Phase::Seeding;
        let mut candidates = Vec::new();
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_ready()) {
            let rate = if seeding { peer.up.per_second(now) } else { peer.down.per_second(now) };
            candidates.push(Candidate { peer: *key, interested: peer.connection.peer_interested(), rate });
        }
        let unchoked = self.choker.round(now, &candidates);
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_ready()) {
            match (peer.connection.am_choking(), unchoked.contains(key)) {
                (true, true) => {
                    peer.send(|connection, out| connection.unchoke(now, out));
                }
                (false, false) => {
                    peer.send(|connection, out| connection.choke(now, out));
                    peer.asked.clear();
                }
                _ => continue,
            }
            self.exchange.ready.insert(*key);
        }
    }
}
