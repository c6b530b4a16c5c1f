//! What peers send.

use std::io::{self, Read};
use std::mem;

use peer_wire_proto::connection::{CloseReason, Event};
use peer_wire_proto::{Block, Handshake, Message};

use super::peer::Peer;
use super::{READ, Session};
use crate::picker::{PeerKey, Received};
use crate::storage::Job;

/// Octets of an unfinished message that room is kept for: a block.
const LEFTOVER: usize = 20 << 10;
/// Bytes of a have.
const HAVE_LEN: u64 = 9;
/// Bytes of a request, and of its reject.
const REQUEST_LEN: u64 = 17;
/// Peers whose hosts are remembered in case they lied.
const SENDERS: usize = 4096;

impl Session {
    /// Reads from, and writes to, every peer for which there is something to do, once.
    pub(super) fn serve_peers(&mut self) {
        self.again = false;
        for key in mem::take(&mut self.active) {
            let Some(mut peer) = self.peers.remove(&key) else { continue };
            match self.serve(&mut peer) {
                Ok(progress) => {
                    self.again |= progress && peer.is_active();
                    if peer.is_active() {
                        self.active.insert(key);
                    }
                    self.peers.insert(key, peer);
                }
                Err(reason) => {
                    peer.close(reason);
                    self.part(peer, reason);
                }
            }
        }
    }

    /// Whether anything was read or written.
    fn serve(&mut self, peer: &mut Peer) -> Result<bool, CloseReason> {
        if !peer.connected {
            if !peer.writable {
                return Ok(false);
            }
            match peer.stream.take_error() {
                Ok(None) => peer.connected = true,
                _ => return Err(CloseReason::Gone),
            }
        }
        let read = self.read(peer)?;
        peer.say_owed(self.now);
        self.request(peer);
        self.read_ahead(peer);
        let written = self.write(peer)?;
        Ok(read || written)
    }

    fn read(&mut self, peer: &mut Peer) -> Result<bool, CloseReason> {
        if (!peer.readable && !peer.stalled) || peer.is_clogged() {
            return Ok(false);
        }
        let mut scratch = mem::take(&mut self.scratch);
        let result = self.read_into(peer, &mut scratch);
        self.scratch = scratch;
        result
    }

    fn read_into(&mut self, peer: &mut Peer, scratch: &mut Vec<u8>) -> Result<bool, CloseReason> {
        let needed = peer.connection.receive_len().max(READ);
        if scratch.len() < needed {
            scratch.resize(needed, 0);
        }
        let mut filled = peer.leftover.len();
        scratch[..filled].copy_from_slice(&peer.leftover);
        let allowance = usize::try_from(self.down_limit.allowance(self.now)).unwrap_or(usize::MAX);
        let room = (scratch.len() - filled).min(allowance);
        let mut progress = false;
        if peer.readable && room > 0 && !self.down_buffers.is_empty() {
            match peer.stream.read(&mut scratch[filled..filled + room]) {
                Ok(0) => return Err(CloseReason::Gone),
                Ok(octets) => {
                    self.down_limit.spend(u64::try_from(octets).unwrap_or(u64::MAX));
                    filled += octets;
                    progress = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => progress = true,
                Err(_) => return Err(CloseReason::Gone),
            }
        }
        let mut at = 0;
        peer.stalled = false;
        loop {
            if self.down_buffers.is_empty() {
                peer.stalled = true;
                break;
            }
            let input = peer.connection.handle_input(self.now, &scratch[at..filled])?;
            at += input.consumed;
            let useful = input.event.map_or(0, |event| useful_bytes(peer, &event));
            let useless = u64::try_from(input.consumed).unwrap_or(u64::MAX).saturating_sub(useful);
            if useless > 0 && !peer.allowance.spend(self.now, useless) {
                return Err(CloseReason::Flood);
            }
            let Some(event) = input.event else { break };
            self.said(peer, event)?;
        }
        peer.leftover.clear();
        peer.leftover.extend_from_slice(&scratch[at..filled]);
        // Much is left only when buffers were short.
        peer.leftover.shrink_to(LEFTOVER);
        Ok(progress || at > 0)
    }

    fn said(&mut self, peer: &mut Peer, event: Event<'_>) -> Result<(), CloseReason> {
        match event {
            Event::Handshake(theirs) => return self.greeted(peer, theirs),
            Event::Bitfield(theirs) => return self.has_these(peer, theirs.iter()),
            Event::HaveAll => return self.has_these(peer, 0..self.layout.pieces()),
            Event::Have(piece) if peer.pieces.set(piece) => {
                self.picker.gained(&peer.pieces, piece);
                return self.learnt(peer);
            }
            Event::Unchoked => {
                peer.pipeline.restart(self.now);
                peer.last_block = self.now;
                peer.rests_until = self.now;
            }
            Event::Rejected(block) => {
                self.picker.lost(peer.key, block);
                if !peer.connection.peer_choking() {
                    // It would only reject again.
                    peer.rests_until = self.now + super::TICK;
                }
            }
            Event::Piece { block, data } => self.block_came(peer, block, data),
            Event::Interested | Event::NotInterested => {
                if !peer.connection.peer_interested() {
                    peer.asked.clear();
                }
                self.rechoke = true;
            }
            Event::Requested(block) => {
                if !self.picker.have().has(block.index) {
                    return Err(CloseReason::PieceNotOffered { index: block.index });
                }
                peer.asked.push_back(block);
            }
            Event::Cancelled(block) => peer.asked.retain(|asked| *asked != block),
            // Nothing that is to be done.
            _ => {}
        }
        Ok(())
    }

    fn greeted(&mut self, peer: &mut Peer, theirs: Handshake) -> Result<(), CloseReason> {
        if theirs.info_hash != self.torrent.info_hash {
            return Err(CloseReason::UnknownTorrent { info_hash: theirs.info_hash });
        }
        if self.is_double(peer) {
            return Err(CloseReason::Local);
        }
        let (now, torrent) = (self.now, self.torrent);
        if !peer.outgoing {
            peer.say(|connection, out| connection.answer(now, torrent, out));
        }
        let mut bitfield = vec![0; 5 + self.picker.have().as_bytes().len()];
        if let Ok(length) = peer.connection.bitfield(now, self.picker.have(), &mut bitfield) {
            peer.outbox.push(&bitfield[..length]);
        }
        Ok(())
    }

    /// The peer has these pieces; nobody loses one. As each counts only once, no peer can keep us busy with them.
    fn has_these(&mut self, peer: &mut Peer, pieces: impl Iterator<Item = u32>) -> Result<(), CloseReason> {
        let is_first = peer.pieces.is_empty();
        for piece in pieces {
            if peer.pieces.set(piece) && !is_first {
                self.picker.gained(&peer.pieces, piece);
            }
        }
        if is_first {
            self.picker.joined(&peer.pieces);
        }
        self.learnt(peer)
    }

    /// The peer has something that it had not.
    fn learnt(&mut self, peer: &mut Peer) -> Result<(), CloseReason> {
        if self.picker.is_done() {
            // Two that have everything have nothing to say to each other.
            return if peer.pieces.is_full() { Err(CloseReason::Local) } else { Ok(()) };
        }
        if !peer.connection.am_interested() && self.picker.is_interesting(&peer.pieces) {
            let now = self.now;
            peer.say(|connection, out| connection.interested(now, out));
        }
        Ok(())
    }

    fn block_came(&mut self, peer: &mut Peer, block: Block, data: &[u8]) {
        let octets = u64::from(block.length);
        self.down.add(self.now, octets);
        peer.down.add(self.now, octets);
        peer.pipeline.received(self.now, block.length);
        peer.last_block = self.now;
        peer.last_useful = self.now;
        let Some(buffer) = self.down_buffers.take_filled(data) else {
            return self.picker.lost(peer.key, block);
        };
        let Received::New { cancel, complete } = self.picker.received(peer.key, block) else {
            return self.down_buffers.put(buffer);
        };
        self.disk.add(block.index, Job::Write(block, buffer));
        if complete {
            let digests = self.picker.wants_digests(block.index);
            self.disk.add(block.index, Job::Judge { piece: block.index, digests });
        }
        self.remember(peer);
        for other in cancel {
            self.cancel(other, block);
        }
    }

    /// Another peer need not send the block any more.
    fn cancel(&mut self, other: PeerKey, block: Block) {
        let now = self.now;
        if let Some(other) = self.peers.get_mut(&other) {
            other.say(|connection, out| connection.cancel(now, block, out));
            self.active.insert(other.key);
        }
    }

    fn remember(&mut self, peer: &Peer) {
        self.senders.entry(peer.key).or_insert_with(|| peer.address.ip().to_canonical());
        if self.senders.len() > SENDERS {
            self.senders.pop_first();
        }
    }
}

/// Bytes of the message behind an event that are bounded by the torrent, by our requests or by our uploads.
fn useful_bytes(peer: &Peer, event: &Event<'_>) -> u64 {
    let new = |count: usize| HAVE_LEN.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX));
    match event {
        Event::Handshake(_) => u64::try_from(Handshake::LEN).unwrap_or(u64::MAX),
        Event::Piece { block, .. } => {
            u64::try_from(Message::PIECE_HEAD_LEN).unwrap_or(u64::MAX) + u64::from(block.length)
        }
        Event::Requested(_) | Event::Rejected(_) => REQUEST_LEN,
        Event::Have(piece) => new(usize::from(!peer.pieces.has(*piece))),
        Event::Bitfield(theirs) => new(theirs.iter().filter(|piece| !peer.pieces.has(*piece)).count()),
        _ => 0,
    }
}
