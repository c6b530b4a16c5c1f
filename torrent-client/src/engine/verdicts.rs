//! The result of hashing a piece.

use std::time::Duration;

use tracing::{debug, warn};

use super::Engine;
use crate::disk::Verdict;
use crate::status::Phase;

impl Engine {
    pub(super) fn piece_judged(&mut self, now: Duration, verdict: &Verdict) {
        let piece = verdict.piece;
        let culprits = if verdict.good {
            debug!("piece {piece} is correct");
            self.exchange.picker.good(piece, &verdict.digests)
        } else {
            warn!("piece {piece} has the wrong hash and will be downloaded again");
            self.exchange.picker.bad(piece, &verdict.digests)
        };
        for culprit in culprits {
            self.ban(now, culprit, piece);
        }
        if !verdict.good {
            // The piece may be requested again, from any peer.
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

    /// Sends a have message to the peers that lack the piece.
    fn announce_piece(&mut self, now: Duration, piece: u32) {
        for peer in self.peers.values_mut() {
            if peer.is_ready() && !peer.pieces.has(piece) {
                peer.send(|connection, out| connection.have(now, piece, out));
                self.exchange.ready.insert(peer.key);
            }
        }
    }
}
