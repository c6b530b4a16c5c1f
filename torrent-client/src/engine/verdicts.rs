//! What becomes of pieces that were hashed.

use std::time::Duration;

use tracing::{debug, warn};

use super::Engine;
use crate::disk::Verdict;
use crate::status::Phase;

impl Engine {
    pub(super) fn piece_judged(&mut self, now: Duration, verdict: &Verdict) {
        let piece = verdict.piece;
        let liars = if verdict.good {
            debug!("piece {piece} is there");
            self.exchange.picker.good(piece, &verdict.digests)
        } else {
            warn!("piece {piece} has the wrong hash and is downloaded again");
            self.exchange.picker.bad(piece, &verdict.digests)
        };
        for liar in liars {
            self.ban(now, liar, piece);
        }
        if !verdict.good {
            // It may be requested again, from any peer.
            self.exchange.ready.extend(self.peers.keys());
            return;
        }
        self.announce_piece(now, piece);
        if self.exchange.picker.is_done() && self.phase == Phase::Downloading {
            self.trackers.completed(now);
            self.completed(now);
            self.turn_trackers(now);
        }
    }

    /// Announces a piece to the peers that lack it.
    fn announce_piece(&mut self, now: Duration, piece: u32) {
        for peer in self.peers.values_mut() {
            if peer.is_ready() && !peer.pieces.has(piece) {
                peer.send(|connection, out| connection.have(now, piece, out));
                self.exchange.ready.insert(peer.key);
            }
        }
    }
}
