//! Handshakes of peers: whether to keep a connection whose handshake has arrived.

use std::time::Duration;

use peer_wire_proto::Handshake;
use peer_wire_proto::connection::CloseReason;

use super::Engine;
use super::peer::Peer;
use crate::pieces::PeerKey;

impl Engine {
    /// Answers the handshake and sends the bitfield, or closes the connection.
    pub(super) fn handshake_came(&mut self, now: Duration, key: PeerKey, theirs: Handshake) {
        let reason = if theirs.info_hash != self.config.torrent.info_hash {
            Some(CloseReason::UnknownTorrent { info_hash: theirs.info_hash })
        } else if self.is_duplicate(now, key, &theirs) {
            Some(CloseReason::Local)
        } else {
            None
        };
        if let Some(reason) = reason {
            return self.drop_peer(now, key, reason);
        }
        let torrent = self.config.torrent;
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !peer.outgoing {
            peer.send(|connection, out| connection.answer(now, torrent, out));
        }
        let have = self.exchange.picker.have();
        let mut bitfield = vec![0; 5 + have.bytes().len()];
        if let Ok(length) = peer.connection.bitfield(now, have.bitfield(), &mut bitfield) {
            peer.outbox.push(&bitfield[..length]);
        }
    }

    /// Whether another connection to the same peer exists that should be kept instead.
    ///
    /// Any host can use the peer_id of a peer on another host, so both the peer_id and the host must match.
    ///
    /// If two peers connect to each other at the same time, both keep the connection made by the peer with the greater
    /// peer_id.
    fn is_duplicate(&mut self, now: Duration, key: PeerKey, theirs: &Handshake) -> bool {
        let Some(peer) = self.peers.get(&key) else { return false };
        let (outgoing, host) = (peer.outgoing, peer.address.ip().to_canonical());
        let same = |other: &Peer| {
            let handshake = other.connection.peer_handshake();
            other.key != key
                && other.address.ip().to_canonical() == host
                && handshake.is_some_and(|handshake| handshake.peer_id == theirs.peer_id)
        };
        let Some(other) = self.peers.values().find(|other| same(other)) else { return false };
        let keep_outgoing = self.config.peer_id.0 > theirs.peer_id.0;
        if outgoing == keep_outgoing && other.outgoing != keep_outgoing {
            let other = other.key;
            self.drop_peer(now, other, CloseReason::Local);
            return false;
        }
        true
    }
}
