//! Adds and removes peers.

use std::net::SocketAddr;
use std::time::Duration;

use peer_wire_proto::Connection;
use peer_wire_proto::connection::{CloseReason, Config};
use tracing::{debug, info};

use super::peer::Peer;
use super::{Action, Engine};
use crate::pieces::{PeerKey, PieceSet};
use crate::places::{self, Admission};
use crate::status::Phase;

/// The most connections in the making, so that the tables of routers don't overflow.
const HALF_OPEN: usize = 20;
/// A connection that lasted this long counts as a success; a shorter one counts as a failure.
const OF_USE: Duration = Duration::from_secs(30);

impl Engine {
    /// Handles an accepted connection from this address. Returns its key, or `None` if the caller should close it at
    /// once.
    pub fn handle_accepted(&mut self, now: Duration, address: SocketAddr) -> Option<PeerKey> {
        let open = matches!(self.phase, Phase::Downloading | Phase::Seeding);
        if !open || self.book.is_banned(address.ip()) || !self.has_place(now, address) {
            return None;
        }
        let connection = Connection::accept(now, self.config.peer_id, Config::default());
        Some(self.new_peer(now, address, false, connection))
    }

    /// A [connection](Action::Connect) succeeded.
    pub fn handle_connected(&mut self, now: Duration, peer: PeerKey) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.connected = true;
        }
        self.pump(now, peer);
    }

    /// A connection failed, was lost, or was closed by the peer.
    pub fn handle_closed(&mut self, now: Duration, peer: PeerKey) {
        if let Some(peer) = self.peers.remove(&peer) {
            self.part(now, peer, CloseReason::Gone);
        }
    }

    /// Whether there is a place for a connection from this address. Closes a less useful one if necessary.
    fn has_place(&mut self, now: Duration, address: SocketAddr) -> bool {
        // Some places are reserved for outgoing connections.
        let max = self.config.max_peers;
        let max = if self.phase == Phase::Downloading { max - max / 4 } else { max };
        let places: Vec<_> = self.peers.values().map(|peer| peer.place()).collect();
        match places::admit(now, address.ip().to_canonical(), &places, max) {
            Admission::Admitted => true,
            Admission::InPlaceOf(key) => {
                self.drop_peer(now, key, CloseReason::Local);
                true
            }
            Admission::Refused => false,
        }
    }

    /// Connects to known addresses, up to the limits.
    pub(super) fn connect_more(&mut self, now: Duration) {
        if !matches!(self.phase, Phase::Downloading | Phase::Seeding) {
            return;
        }
        let half_open = self.peers.values().filter(|peer| !peer.connected).count();
        let room = self.config.max_peers.saturating_sub(self.peers.len());
        for _ in 0..room.min(HALF_OPEN.saturating_sub(half_open)) {
            let Some(address) = self.book.take(now) else { break };
            let torrent = self.config.torrent;
            let connection = Connection::connect(now, self.config.peer_id, torrent, Config::default());
            let peer = self.new_peer(now, address, true, connection);
            self.actions.push_back(Action::Connect { peer, address });
        }
    }

    fn new_peer(
        &mut self,
        now: Duration,
        address: SocketAddr,
        outgoing: bool,
        connection: Connection,
    ) -> PeerKey {
        let key = PeerKey(self.next_key);
        self.next_key += 1;
        let none = PieceSet::none(&self.config.torrent.layout);
        self.peers.insert(key, Box::new(Peer::new(key, address, outgoing, connection, none, now)));
        key
    }

    /// Cleans up after a peer that was removed from the map.
    fn part(&mut self, now: Duration, mut peer: Box<Peer>, reason: CloseReason) {
        debug!("{} is disconnected: {reason}", peer.address);
        let exchange = &mut self.exchange;
        let blocks: Vec<_> = peer.connection.outstanding().collect();
        for block in blocks {
            exchange.picker.lost(peer.key, block);
        }
        exchange.picker.forget(peer.key);
        exchange.picker.left_with(&peer.pieces);
        peer.outbox.clear(|buffer| exchange.up_buffers.put(buffer));
        exchange.rechoke |= !peer.connection.am_choking();
        if peer.outgoing {
            let lasted = now.saturating_sub(peer.since);
            match reason {
                CloseReason::OwnPeerId | CloseReason::WrongInfoHash { .. } => self.book.give_up(peer.address),
                CloseReason::Local if self.phase == Phase::Seeding => self.book.give_up(peer.address),
                _ if lasted >= OF_USE => self.book.ended(now, peer.address),
                _ => self.book.failed(now, peer.address),
            }
        }
    }

    /// Closes a peer, if it is in the map.
    pub(super) fn drop_peer(&mut self, now: Duration, key: PeerKey, reason: CloseReason) {
        if let Some(peer) = self.peers.remove(&key) {
            self.actions.push_back(Action::Close(key));
            self.part(now, peer, reason);
        }
    }

    pub(super) fn drop_all_peers(&mut self, now: Duration) {
        while let Some((key, _)) = self.peers.first_key_value() {
            let key = *key;
            self.drop_peer(now, key, CloseReason::Local);
        }
    }

    /// Closes the connections to other seeders: both sides have all pieces.
    pub(super) fn drop_other_seeds(&mut self, now: Duration) {
        let seeds = self.peers.values().filter(|peer| peer.pieces.is_full()).map(|peer| peer.key);
        for key in seeds.collect::<Vec<_>>() {
            self.drop_peer(now, key, CloseReason::Local);
        }
    }

    /// Bans the host of a peer, which may be disconnected already.
    pub(super) fn ban(&mut self, now: Duration, key: PeerKey, piece: u32) {
        let Some(host) = self.senders.get(&key).copied() else { return };
        info!("{host} sent wrong bytes for piece {piece} and is banned");
        self.book.ban(host);
        let there = self.peers.values().filter(|peer| peer.address.ip().to_canonical() == host);
        for key in there.map(|peer| peer.key).collect::<Vec<_>>() {
            self.drop_peer(now, key, CloseReason::WrongData { index: piece });
        }
    }
}
