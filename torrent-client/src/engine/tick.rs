//! What needs no haste: timers, choking, new connections.

use std::time::Duration;

use peer_wire_proto::connection::CloseReason;
use tracing::debug;

use super::{Peer, Session, TICK};
use crate::choker::{Candidate, ROUND, SLOTS};
use crate::status::Phase;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a peer that we connect to may take to send its handshake.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// How long a peer that connected to us may take: it sends its handshake first, and anybody can be silent here.
const FIRST_HANDSHAKE: Duration = Duration::from_secs(5);
/// Free slots are given away no more often than this, or peers whose interest comes and goes would keep us busy.
const FILL: Duration = Duration::from_millis(100);
/// A peer that owes blocks and sends none for so long is asked for nothing for a while; others are, for what it owes.
const SNUB: Duration = Duration::from_secs(30);

impl Session {
    pub(super) fn tick(&mut self) {
        self.next_tick = self.now + TICK;
        if self.phase != Phase::Checking && self.phase != Phase::Stopping {
            self.look_at_peers();
            if self.now >= self.next_round {
                self.next_round = self.now + ROUND;
                self.choke_round();
            }
            self.accept_late();
            self.no_utp.answer();
            if self.peers.len() < self.options.min_peers && self.phase == Phase::Downloading {
                self.trackers.want_peers(self.now);
            }
            self.connect_more();
        }
        self.report();
    }

    fn look_at_peers(&mut self) {
        let now = self.now;
        let mut over = Vec::new();
        for (key, peer) in &mut self.peers {
            let age = now.saturating_sub(peer.since);
            if !peer.connected && age >= CONNECT {
                over.push((*key, CloseReason::Gone));
                continue;
            }
            let after = if peer.outgoing { HANDSHAKE } else { FIRST_HANDSHAKE };
            if !peer.is_ready() && age >= after {
                over.push((*key, CloseReason::NoHandshake { after }));
                continue;
            }
            if let Err(reason) = peer.connection.handle_timeout(now) {
                over.push((*key, reason));
                continue;
            }
            peer.say_owed(now);
            let silent = now.saturating_sub(peer.last_block) >= SNUB && peer.requests() > 0;
            // Unless it is we who don't read, to keep a limit.
            if silent && !peer.readable && !peer.connection.peer_choking() {
                debug!("{} lets us wait", peer.address);
                peer.rests_until = now + SNUB;
                peer.last_block = now;
                peer.pipeline.restart(now);
                let owed: Vec<_> = peer.connection.outstanding().collect();
                for block in owed {
                    peer.say(|connection, out| connection.cancel(now, block, out));
                    self.picker.lost(*key, block);
                }
                self.picker.forget(*key);
            }
            if peer.is_ready() && peer.connection.am_interested() && !self.picker.is_interesting(&peer.pieces)
            {
                peer.say(|connection, out| connection.not_interested(now, out));
                // Without the fast extension, what it owed is to be heard of now.
                peer.stalled = true;
            }
            self.active.insert(*key);
        }
        for (key, reason) in over {
            self.drop_peer(key, reason);
        }
    }

    /// Gives free slots to those who wait for them.
    pub(super) fn fill_slots(&mut self) {
        self.rechoke = false;
        self.next_fill = self.now + FILL;
        let takes = |peer: &Peer| !peer.connection.am_choking() && peer.connection.peer_interested();
        if self.peers.values().filter(|peer| takes(peer)).count() < SLOTS {
            self.choke_round();
        }
    }

    fn choke_round(&mut self) {
        let now = self.now;
        let seeding = self.phase == Phase::Seeding;
        let mut candidates = Vec::new();
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_ready()) {
            let rate = if seeding { peer.up.per_second(now) } else { peer.down.per_second(now) };
            candidates.push(Candidate { peer: *key, interested: peer.connection.peer_interested(), rate });
        }
        let unchoked = self.choker.round(now, &candidates);
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_ready()) {
            let was_choking = peer.connection.am_choking();
            if unchoked.contains(key) && was_choking {
                peer.say(|connection, out| connection.unchoke(now, out));
            } else if !unchoked.contains(key) && !was_choking {
                peer.say(|connection, out| connection.choke(now, out));
                peer.asked.clear();
                peer.say_owed(now);
            } else {
                continue;
            }
            self.active.insert(*key);
        }
    }
}
