//! Timers: silent peers, choke rounds, new connections, the end of rate limit waits.

use std::time::Duration;

use peer_wire_proto::connection::{CloseReason, Event};
use tracing::debug;

use super::peer::Peer;
use super::{Action, Ended, Engine, Exchange, LEAVE, TICK};
use crate::choker::ROUND;
use crate::options::Seeding;
use crate::status::Phase;

/// The most time for making a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The most time for the handshake of a peer that we connected to.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// The most time for the handshake of a peer that connected to us. It sends its handshake first, and any host could
/// connect and be silent.
const FIRST_HANDSHAKE: Duration = Duration::from_secs(5);
/// A peer that has outstanding requests but has sent no block for this long gets no requests for a while. Its blocks
/// are requested from other peers.
const SNUB: Duration = Duration::from_secs(30);

impl Engine {
    /// When [`handle_timeout`](Self::handle_timeout) is due. May change after any other call that takes `now`.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        let fill = self.exchange.rechoke.then_some(self.next_fill);
        let leave = (self.phase == Phase::Stopping).then_some(self.leave_by);
        let trackers = if self.phase == Phase::Checking { None } else { self.trackers.poll_timeout() };
        let due = [fill, leave, trackers, self.exchange.limited_until];
        due.into_iter().flatten().fold(self.next_tick, Duration::min)
    }

    /// Does what is due. A call that is too early does nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.exchange.limited_until.is_some_and(|until| now >= until) {
            self.exchange.limited_until = None;
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            if matches!(self.phase, Phase::Downloading | Phase::Seeding) {
                self.tick(now);
            }
        }
        if self.exchange.rechoke && now >= self.next_fill {
            self.fill_slots(now);
        }
        self.turn_trackers(now);
        self.end_if_idle(now);
    }

    fn tick(&mut self, now: Duration) {
        self.look_at_peers(now);
        if now >= self.next_round {
            self.next_round = now + ROUND;
            self.choke_round(now);
        }
        if self.peers.len() < self.config.min_peers && self.phase == Phase::Downloading {
            self.trackers.want_peers(now);
        }
        self.connect_more(now);
        self.actions.push_back(Action::Report);
    }

    fn look_at_peers(&mut self, now: Duration) {
        let mut over = Vec::new();
        for (key, peer) in &mut self.peers {
            match peer.look_at_time(now, &mut self.exchange) {
                Ok(()) => {}
                Err(reason) => over.push((*key, reason)),
            }
            self.exchange.ready.insert(*key);
        }
        for (key, reason) in over {
            self.drop_peer(now, key, reason);
        }
    }

    /// Sends announces that are due, handles replies, and ends the session when it has seeded enough.
    pub(super) fn turn_trackers(&mut self, now: Duration) {
        if self.phase == Phase::Checking {
            return;
        }
        let report = self.announcement();
        let before = self.book.len();
        let book = &mut self.book;
        self.trackers.turn(now, &report, |address| book.add(address));
        self.actions.extend(self.trackers.take_lookups());
        if self.book.len() > before {
            self.connect_more(now);
        }
        if self.phase == Phase::Seeding && self.has_seeded_enough(now) {
            self.leave(now, Ok(Ended::Done));
        }
    }

    fn has_seeded_enough(&self, now: Duration) -> bool {
        match self.config.seeding {
            // The end of the download is announced first, for which a short time is allowed.
            Seeding::Never => !self.trackers.owes_completed() || now >= self.seeding_since + LEAVE / 2,
            Seeding::Until { time, ratio } => {
                #[expect(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
                let given = self.exchange.up.total() as f64 / self.wanted_bytes.max(1) as f64;
                time.is_some_and(|time| now >= self.seeding_since + time)
                    || ratio.is_some_and(|ratio| given >= ratio)
            }
        }
    }
}

impl Peer {
    /// Closes a connection that was silent for too long, and gives up requests that are not answered.
    fn look_at_time(&mut self, now: Duration, exchange: &mut Exchange) -> Result<(), CloseReason> {
        let age = now.saturating_sub(self.since);
        if !self.connected && age >= CONNECT {
            return Err(CloseReason::Gone);
        }
        let after = if self.outgoing { HANDSHAKE } else { FIRST_HANDSHAKE };
        if !self.is_ready() && age >= after {
            return Err(CloseReason::NoHandshake { after });
        }
        self.connection.handle_timeout(now)?;
        self.look_again();
        // Time in which we did not read doesn't count.
        let silent = now.saturating_sub(self.last_block.max(self.held_up)) >= SNUB;
        if silent && self.requests() > 0 && !self.connection.peer_choking() {
            debug!("{} sends no blocks", self.address);
            self.rests_until = now + SNUB;
            self.last_block = now;
            self.pipeline.restart(now);
            let owed: Vec<_> = self.connection.outstanding().collect();
            for block in owed {
                self.send(|connection, out| connection.cancel(now, block, out));
                exchange.picker.lost(self.key, block);
            }
            exchange.picker.forget(self.key);
        }
        if self.is_ready() && self.connection.am_interested() && !exchange.picker.is_interesting(&self.pieces)
        {
            self.send(|connection, out| connection.not_interested(now, out));
            // Without the fast extension, outstanding requests are lost now.
            while let Some(Event::Rejected(block)) = self.connection.handle_input(now, &[])?.event {
                exchange.picker.lost(self.key, block);
            }
        }
        Ok(())
    }
}
