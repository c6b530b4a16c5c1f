//! What peers are sent: requests, and the blocks that they requested.

use std::time::Duration;

use peer_wire_proto::Block;
use peer_wire_proto::connection::State;

use super::peer::Peer;
use super::{Engine, Exchange, Transmit};
use crate::disk::{Buffer, Job};
use crate::picker::Picker;
use crate::pieces::PeerKey;

/// Blocks that are read ahead for a peer, or wait to be sent to it: 1 MiB, enough to keep any socket busy.
const AHEAD: usize = 64;
/// In the end game, a peer with fewer requests than this is sent requests that others have as well.
const END_GAME_DEPTH: usize = 8;

impl Engine {
    /// The next peer that there is something new to write for; its connection may take it or not. May change after any
    /// call that takes `now`.
    pub fn poll_ready(&mut self, now: Duration) -> Option<PeerKey> {
        while let Some(key) = self.exchange.ready.pop_first() {
            if self.peers.contains_key(&key) {
                self.pump(now, key);
                return Some(key);
            }
        }
        None
    }

    /// Whether there is something to write for the peer, limits aside.
    #[must_use]
    pub fn wants_transmit(&self, peer: PeerKey) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.connected && !peer.outbox.is_empty())
    }

    /// What to write to the peer's connection next; nothing if a rate limit holds it up. The same as long as
    /// [`handle_transmitted`](Self::handle_transmitted) is not called.
    pub fn poll_transmit(&mut self, now: Duration, peer: PeerKey) -> Transmit<'_> {
        let exchange = &mut self.exchange;
        let Some(peer) = self.peers.get(&peer).filter(|peer| peer.connected) else {
            return Transmit::default();
        };
        // Messages alone are few bytes, and are not held back.
        let allowance = if peer.outbox.blocks() > 0 { exchange.up_limit.allowance(now) } else { u64::MAX };
        if allowance == 0 {
            exchange.limited_until = Some(now + exchange.up_limit.wait());
        }
        peer.outbox.slices(usize::try_from(allowance).unwrap_or(usize::MAX))
    }

    /// So many bytes of what [`poll_transmit`](Self::poll_transmit) gave are written.
    pub fn handle_transmitted(&mut self, now: Duration, peer: PeerKey, bytes: usize) {
        let exchange = &mut self.exchange;
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let payload = peer.outbox.advance(bytes, |buffer| exchange.up_buffers.put(buffer));
        if payload > 0 {
            let payload = u64::try_from(payload).unwrap_or(u64::MAX);
            exchange.up_limit.spend(payload);
            exchange.up.add(now, payload);
            peer.up.add(now, payload);
            peer.last_useful = now;
        }
        peer.read_ahead(exchange);
    }

    /// Sends what the peer is to be sent now, and has read what it requested.
    pub(super) fn pump(&mut self, now: Duration, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.send_owed(now);
        peer.request(now, &mut self.exchange.picker);
        peer.read_ahead(&mut self.exchange);
    }

    /// A block was read for a peer that may be gone, or not want it any more.
    pub(super) fn block_read(&mut self, now: Duration, key: PeerKey, block: Block, buffer: Buffer) {
        let exchange = &mut self.exchange;
        let Some(peer) = self.peers.get_mut(&key) else { return exchange.up_buffers.put(buffer) };
        peer.reading -= 1;
        let mut head = [0; <peer_wire_proto::Connection>::TRANSMIT_LEN];
        match peer.connection.piece(now, block, &mut head) {
            Ok(length) => {
                let bytes = usize::try_from(block.length).unwrap_or(usize::MAX).min(buffer.len());
                peer.outbox.push_block(&head[..length], buffer, bytes);
            }
            Err(_) => exchange.up_buffers.put(buffer),
        }
        exchange.ready.insert(key);
    }
}

impl Peer {
    /// Requests as many blocks as the peer's pipeline takes.
    fn request(&mut self, now: Duration, picker: &mut Picker) {
        if self.connection.state() != State::Data
            || self.connection.peer_choking()
            || !self.connection.am_interested()
            || now < self.rests_until
        {
            return;
        }
        if self.requests() == 0 {
            // From now on it is waited for.
            self.last_block = now;
        }
        let knew_of_nothing = self.nothing_to_pick == Some(picker.news());
        while self.requests() < self.pipeline.depth() {
            let Some(block) = self.pick(picker) else { break };
            if !self.send(|connection, out| connection.request(now, block, out)) {
                picker.lost(self.key, block);
                break;
            }
        }
        if self.requests() == 0 && !knew_of_nothing && !picker.is_interesting(&self.pieces) {
            self.send(|connection, out| connection.not_interested(now, out));
        }
    }

    /// A block to request. Looks only if there may be one: a look may go through all pieces.
    fn pick(&mut self, picker: &mut Picker) -> Option<Block> {
        if self.nothing_to_pick != Some(picker.news()) {
            let block = picker.pick(self.key, &self.pieces);
            if block.is_some() {
                return block;
            }
            self.nothing_to_pick = Some(picker.news());
        }
        if self.requests() >= END_GAME_DEPTH || self.nothing_to_pick_again == Some(picker.news()) {
            return None;
        }
        let block = picker.pick_again(self.key, &self.pieces);
        if block.is_none() {
            self.nothing_to_pick_again = Some(picker.news());
        }
        block
    }

    /// Has blocks read that the peer requested, as far as there is room.
    fn read_ahead(&mut self, exchange: &mut Exchange) {
        while self.in_flight() < AHEAD
            && let Some(block) = self.asked.front().copied()
            && let Some(buffer) = exchange.up_buffers.take()
        {
            self.asked.pop_front();
            self.reading += 1;
            exchange.jobs.push_back(Job::Read(self.key, block, buffer));
        }
    }
}
