//! Peers come and go.

use std::io;
use std::net::SocketAddr;

use mio::{Interest, Token};
use peer_wire_proto::Connection;
use peer_wire_proto::connection::{CloseReason, Config};
use tracing::{debug, info};

use super::peer::Peer;
use super::{LISTENERS, Phase, Session, sockets};
use crate::picker::{PeerKey, no_pieces};
use crate::places::{self, Admission};

/// Connections that are being made at once, so that routers' tables don't overflow.
const HALF_OPEN: usize = 20;
/// A connection that lasted so many seconds was of use; a shorter one counts as a failure.
const OF_USE: u64 = 30;

impl Session {
    /// Takes the connections that wait.
    pub(super) fn accept(&mut self, token: Token) {
        let Some(at) = LISTENERS.iter().position(|listener| *listener == token) else { return };
        loop {
            let (stream, address) = match self.listeners[at].accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // That connection is gone already; or there are no more descriptors, and the next tick tries again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return debug!("cannot accept: {error}"),
            };
            if self.phase != Phase::Stopping && !self.book.is_banned(address.ip()) && self.has_place(address)
            {
                let connection = Connection::accept(self.now, self.peer_id, Config::default());
                let _ = self.add_peer(stream, address, connection, |peer| {
                    peer.connected = true;
                    peer.writable = true;
                });
            }
        }
    }

    /// Whether there is a place for a connection from this address, if need be that of a less useful one.
    fn has_place(&mut self, address: SocketAddr) -> bool {
        // Others are kept for the peers that we connect to.
        let max = self.options.max_peers;
        let max = if self.phase == Phase::Downloading { max - max / 4 } else { max };
        let places: Vec<_> = self.peers.values().map(|peer| peer.place()).collect();
        match places::admit(self.now, address.ip().to_canonical(), &places, max) {
            Admission::Admitted => true,
            Admission::InPlaceOf(key) => {
                self.drop_peer(key, CloseReason::Local);
                true
            }
            Admission::Refused => false,
        }
    }

    /// Looks for connections that could not be accepted when they came.
    pub(super) fn accept_late(&mut self) {
        if self.phase != Phase::Checking {
            LISTENERS.into_iter().take(self.listeners.len()).for_each(|token| self.accept(token));
        }
    }

    /// Connects to peers that are known, as far as there is room.
    pub(super) fn connect_more(&mut self) {
        let half_open = self.peers.values().filter(|peer| !peer.connected).count();
        let room = self.options.max_peers.saturating_sub(self.peers.len());
        for _ in 0..room.min(HALF_OPEN.saturating_sub(half_open)) {
            let Some(address) = self.book.take(self.now) else { break };
            let connection = Connection::connect(self.now, self.peer_id, self.torrent, Config::default());
            let connected = sockets::connect(self.options.ip, address)
                .and_then(|stream| self.add_peer(stream, address, connection, |peer| peer.outgoing = true));
            if let Err(error) = connected {
                debug!("{address}: {error}");
                self.book.failed(self.now, address);
            }
        }
    }

    fn add_peer(
        &mut self,
        mut stream: mio::net::TcpStream,
        address: SocketAddr,
        connection: Connection,
        set: impl FnOnce(&mut Peer),
    ) -> io::Result<()> {
        let key = PeerKey(self.next_key);
        self.poll.registry().register(&mut stream, Token(key.0), Interest::READABLE | Interest::WRITABLE)?;
        self.next_key += 1;
        // Requests are small, and wanted soon.
        let _ = stream.set_nodelay(true);
        let mut peer = Peer::new(key, address, stream, connection, no_pieces(&self.layout), self.now);
        set(&mut peer);
        self.peers.insert(key, Box::new(peer));
        Ok(())
    }

    /// Parts with a peer that is no longer in the list.
    pub(super) fn part(&mut self, mut peer: Box<Peer>, reason: CloseReason) {
        debug!("{} is left: {reason}", peer.address);
        self.active.remove(&peer.key);
        let blocks: Vec<_> = peer.connection.outstanding().collect();
        for block in blocks {
            self.picker.lost(peer.key, block);
        }
        self.picker.forget(peer.key);
        self.picker.left_with(&peer.pieces);
        let up_buffers = &mut self.up_buffers;
        peer.outbox.clear(|buffer| up_buffers.put(buffer));
        let _ = self.poll.registry().deregister(&mut peer.stream);
        self.rechoke |= !peer.connection.am_choking();
        if peer.outgoing {
            let lasted = self.now.saturating_sub(peer.since).as_secs();
            match reason {
                CloseReason::OwnPeerId | CloseReason::WrongInfoHash { .. } => self.book.give_up(peer.address),
                CloseReason::Local if self.phase == Phase::Seeding => self.book.give_up(peer.address),
                _ if lasted >= OF_USE => self.book.ended(self.now, peer.address),
                _ => self.book.failed(self.now, peer.address),
            }
        }
    }

    /// Closes a peer that may be in the list.
    pub(super) fn drop_peer(&mut self, key: PeerKey, reason: CloseReason) {
        if let Some(mut peer) = self.peers.remove(&key) {
            peer.close(reason);
            self.part(peer, reason);
        }
    }

    pub(super) fn drop_all_peers(&mut self) {
        while let Some((_, mut peer)) = self.peers.pop_first() {
            peer.close(CloseReason::Local);
            self.part(peer, CloseReason::Local);
        }
    }

    /// Two that have everything have nothing to say to each other.
    pub(super) fn drop_other_seeds(&mut self) {
        let seeds = self.peers.values().filter(|peer| peer.pieces.is_full()).map(|peer| peer.key);
        for key in seeds.collect::<Vec<_>>() {
            self.drop_peer(key, CloseReason::Local);
        }
    }

    /// Has nothing to do with the host of that peer any more. The peer itself may be gone.
    pub(super) fn ban(&mut self, key: PeerKey, piece: u32) {
        let Some(host) = self.senders.get(&key).copied() else { return };
        info!("{host} sent wrong octets for the piece {piece} and is banned");
        self.book.ban(host);
        let there = self.peers.values().filter(|peer| peer.address.ip().to_canonical() == host);
        for key in there.map(|peer| peer.key).collect::<Vec<_>>() {
            self.drop_peer(key, CloseReason::WrongData { index: piece });
        }
    }

    /// Whether the peer that has just said its name is connected already, by a connection that is to be kept.
    ///
    /// Any host can give itself the peer_id of another one's peer, so the host counts as well.
    ///
    /// If two peers connect to each other at the same time, both keep the connection that the one with the greater
    /// peer_id has made.
    pub(super) fn is_double(&mut self, peer: &Peer) -> bool {
        let Some(theirs) = peer.connection.peer_handshake() else { return false };
        let host = peer.address.ip().to_canonical();
        let same = |other: &Peer| {
            other.address.ip().to_canonical() == host
                && other.connection.peer_handshake().is_some_and(|other| other.peer_id == theirs.peer_id)
        };
        let Some(other) = self.peers.values().find(|other| same(other)) else { return false };
        let keep_outgoing = self.peer_id.0 > theirs.peer_id.0;
        if peer.outgoing == keep_outgoing && other.outgoing != keep_outgoing {
            let other = other.key;
            self.drop_peer(other, CloseReason::Local);
            return false;
        }
        true
    }
}
