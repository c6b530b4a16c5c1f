//! Input from peers.

use std::time::Duration;

use peer_wire_proto::connection::{CloseReason, Event};
use peer_wire_proto::{Block, Handshake, Message};

use super::peer::Peer;
use super::{Engine, Exchange, TICK};
use crate::disk::Job;
use crate::picker::Received;
use crate::pieces::PeerKey;

/// Bytes of a have message.
const HAVE_LEN: u64 = 9;
/// Bytes of a request message, and of a reject message.
const REQUEST_LEN: u64 = 17;
/// The most peers whose hosts are kept, to ban a host if its blocks turn out wrong.
const SENDERS: usize = 4096;

/// How much of a peer's input was consumed.
struct Taken {
    consumed: usize,
    /// The peer's handshake, if it was the last message consumed. Bytes after it are not consumed yet.
    handshake: Option<Handshake>,
}

impl Engine {
    /// Bytes that may be read from a peer's connection now; 0 while a rate limit, the disk or the peer itself prevents
    /// reading.
    ///
    /// The answer grows with time, at [`poll_timeout`](Self::poll_timeout), and after [`handle_done`](Self::handle_done)
    /// and [`handle_transmitted`](Self::handle_transmitted).
    pub fn receive_limit(&mut self, now: Duration, peer: PeerKey) -> usize {
        let exchange = &mut self.exchange;
        let Some(peer) = self.peers.get_mut(&peer) else { return 0 };
        if !peer.connected || peer.is_clogged() {
            return 0;
        }
        if exchange.down_buffers.is_empty() {
            peer.held_up = now;
            return 0;
        }
        let allowance = exchange.down_limit.allowance(now);
        if allowance == 0 {
            peer.held_up = now;
            exchange.limited_until = Some(now + exchange.down_limit.wait());
        }
        usize::try_from(allowance).unwrap_or(usize::MAX)
    }

    /// Bytes of a buffer that can hold any message of a peer. With at least this many unread bytes,
    /// [`handle_input`](Self::handle_input) consumes some, unless no buffer is free.
    #[must_use]
    pub fn receive_len(&self) -> usize {
        // The same as for an outgoing connection, which has the torrent from the start.
        let torrent = self.config.torrent;
        let config = peer_wire_proto::connection::Config::default();
        <peer_wire_proto::Connection>::connect(Duration::ZERO, self.config.peer_id, torrent, config)
            .receive_len()
    }

    /// Handles bytes from a peer: all bytes not consumed so far, in one slice. Returns how many bytes it consumed. Pass
    /// the others again, followed by new ones, or alone when the peer [wants input](Self::wants_input).
    pub fn handle_input(&mut self, now: Duration, key: PeerKey, bytes: &[u8]) -> usize {
        let mut at = 0;
        if let Some(peer) = self.peers.get(&key) {
            let new = bytes.len().saturating_sub(peer.unread);
            self.exchange.down_limit.spend(u64::try_from(new).unwrap_or(u64::MAX));
        }
        loop {
            let Some(peer) = self.peers.get_mut(&key) else { return bytes.len() };
            match peer.take(now, &mut self.exchange, &bytes[at..]) {
                Ok(Taken { consumed, handshake }) => {
                    at += consumed;
                    peer.unread = bytes.len() - at;
                    let Some(theirs) = handshake else { break };
                    self.handshake_came(now, key, theirs);
                }
                Err(reason) => {
                    self.drop_peer(now, key, reason);
                    at = bytes.len();
                    break;
                }
            }
        }
        self.remember(key);
        self.send_cancels(now);
        self.pump(now, key);
        at
    }

    /// Whether to call [`handle_input`](Self::handle_input) without new bytes, because the remaining ones may be
    /// consumed now. May change after [`handle_done`](Self::handle_done).
    #[must_use]
    pub fn wants_input(&self, peer: PeerKey) -> bool {
        !self.exchange.down_buffers.is_empty()
            && self.peers.get(&peer).is_some_and(|peer| peer.stalled && !peer.is_clogged())
    }

    /// Cancels requests for blocks that another peer has sent.
    fn send_cancels(&mut self, now: Duration) {
        for (key, block) in std::mem::take(&mut self.exchange.cancels) {
            if let Some(other) = self.peers.get_mut(&key) {
                other.send(|connection, out| connection.cancel(now, block, out));
                self.exchange.ready.insert(key);
            }
        }
    }

    fn remember(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get(&key).filter(|peer| peer.down.total() > 0) else { return };
        self.senders.entry(key).or_insert_with(|| peer.address.ip().to_canonical());
        if self.senders.len() > SENDERS {
            self.senders.pop_first();
        }
    }
}

impl Peer {
    fn take(&mut self, now: Duration, exchange: &mut Exchange, bytes: &[u8]) -> Result<Taken, CloseReason> {
        let mut consumed = 0;
        self.stalled = false;
        loop {
            if exchange.down_buffers.is_empty() {
                self.stalled = true;
                return Ok(Taken { consumed, handshake: None });
            }
            let input = self.connection.handle_input(now, &bytes[consumed..])?;
            consumed += input.consumed;
            let useful = input.event.map_or(0, |event| self.useful_bytes(&event));
            let useless = u64::try_from(input.consumed).unwrap_or(u64::MAX).saturating_sub(useful);
            if useless > 0 && !self.allowance.spend(now, useless) {
                return Err(CloseReason::Flood);
            }
            match input.event {
                None => return Ok(Taken { consumed, handshake: None }),
                Some(Event::Handshake(theirs)) => return Ok(Taken { consumed, handshake: Some(theirs) }),
                Some(event) => self.handle_event(now, exchange, event)?,
            }
        }
    }

    /// Bytes of the event's message that are useful: those that the torrent, our requests or our uploads bound.
    fn useful_bytes(&self, event: &Event<'_>) -> u64 {
        let new = |count: usize| HAVE_LEN.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX));
        match event {
            Event::Handshake(_) => u64::try_from(Handshake::LEN).unwrap_or(u64::MAX),
            Event::Piece { block, .. } | Event::Late(block) => {
                u64::try_from(Message::PIECE_HEAD_LEN).unwrap_or(u64::MAX) + u64::from(block.length)
            }
            Event::Requested(_) | Event::Rejected(_) => REQUEST_LEN,
            Event::Have(piece) => new(usize::from(!self.pieces.has(*piece))),
            Event::Bitfield(theirs) => new(theirs.iter().filter(|piece| !self.pieces.has(*piece)).count()),
            _ => 0,
        }
    }

    fn handle_event(
        &mut self,
        now: Duration,
        exchange: &mut Exchange,
        event: Event<'_>,
    ) -> Result<(), CloseReason> {
        match event {
            Event::Bitfield(theirs) => return self.has_these(now, exchange, theirs.iter()),
            Event::HaveAll => {
                let all = 0..self.pieces.pieces();
                return self.has_these(now, exchange, all);
            }
            Event::Have(piece) if self.pieces.insert(piece) => {
                exchange.picker.gained(&self.pieces, piece);
                if exchange.picker.needs(piece) {
                    self.wants(now);
                }
                return self.check_use(exchange);
            }
            Event::Unchoked => {
                self.pipeline.restart(now);
                self.last_block = now;
                self.rests_until = now;
            }
            Event::Rejected(block) => {
                exchange.picker.lost(self.key, block);
                if !self.connection.peer_choking() {
                    // The peer would reject the next request too.
                    self.rests_until = now + TICK;
                }
            }
            Event::Piece { block, data } => self.block_came(now, exchange, block, data),
            Event::Interested | Event::NotInterested => {
                if !self.connection.peer_interested() {
                    self.asked.clear();
                }
                exchange.rechoke = true;
            }
            Event::Requested(block) => {
                if !exchange.picker.have().has(block.index) {
                    return Err(CloseReason::PieceNotOffered { index: block.index });
                }
                self.asked.push_back(block);
            }
            Event::Cancelled(block) => self.asked.retain(|asked| *asked != block),
            // No action is necessary.
            _ => {}
        }
        Ok(())
    }

    /// Adds pieces of the peer; pieces are never removed. Each piece counts only once, so a peer can't cause unbounded
    /// work with them.
    fn has_these(
        &mut self,
        now: Duration,
        exchange: &mut Exchange,
        pieces: impl Iterator<Item = u32>,
    ) -> Result<(), CloseReason> {
        let is_first = self.pieces.is_empty();
        for piece in pieces {
            if self.pieces.insert(piece) && !is_first {
                exchange.picker.gained(&self.pieces, piece);
            }
        }
        if is_first {
            exchange.picker.joined(&self.pieces);
        }
        if exchange.picker.is_interesting(&self.pieces) {
            self.wants(now);
        }
        self.check_use(exchange)
    }

    /// The peer has a piece that is wanted.
    fn wants(&mut self, now: Duration) {
        self.look_again();
        if !self.connection.am_interested() {
            self.send(|connection, out| connection.interested(now, out));
        }
    }

    /// Closes the connection if both sides have all pieces.
    fn check_use(&self, exchange: &Exchange) -> Result<(), CloseReason> {
        if exchange.picker.is_done() && self.pieces.is_full() { Err(CloseReason::Local) } else { Ok(()) }
    }

    fn block_came(&mut self, now: Duration, exchange: &mut Exchange, block: Block, data: &[u8]) {
        let bytes = u64::from(block.length);
        exchange.down.add(now, bytes);
        self.down.add(now, bytes);
        self.pipeline.received(now, block.length);
        self.last_block = now;
        self.last_useful = now;
        let Some(buffer) = exchange.down_buffers.take_filled(data) else {
            return exchange.picker.lost(self.key, block);
        };
        let Received::New { cancel, complete } = exchange.picker.received(self.key, block) else {
            return exchange.down_buffers.put(buffer);
        };
        exchange.jobs.push_back(Job::Write(block, buffer));
        if complete {
            let digests = exchange.picker.wants_digests(block.index);
            exchange.jobs.push_back(Job::Judge { piece: block.index, digests });
        }
        exchange.cancels.extend(cancel.into_iter().map(|other| (other, block)));
    }
}
