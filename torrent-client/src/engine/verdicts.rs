//! What becomes of pieces that were hashed.

use tracing::{debug, warn};

use super::Session;
use crate::status::Phase;
use crate::storage::Verdict;

impl Session {
    pub(super) fn judged(&mut self, verdict: &Verdict) {
        let piece = verdict.piece;
        let liars = if verdict.good {
            debug!("piece {piece} is there");
            self.picker.good(piece, &verdict.digests)
        } else {
            warn!("piece {piece} has the wrong hash and is downloaded again");
            self.picker.bad(piece, &verdict.digests)
        };
        for liar in liars {
            self.ban(liar, piece);
        }
        if verdict.good {
            self.announce_piece(piece);
            if self.picker.is_done() && self.phase == Phase::Downloading {
                self.trackers.completed(self.now);
                self.done();
            }
        } else {
            // Somebody may be asked for it again.
            self.active.extend(self.peers.keys());
        }
    }

    /// Tells the peers that lack the piece that we have it.
    fn announce_piece(&mut self, piece: u32) {
        let now = self.now;
        for peer in self.peers.values_mut() {
            if peer.is_ready() && !peer.pieces.has(piece) {
                peer.say(|connection, out| connection.have(now, piece, out));
                self.active.insert(peer.key);
            }
        }
    }
}
