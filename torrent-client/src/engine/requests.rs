//! Output to peers: requests, and the blocks that they requested.

use std::time::Duration;

use peer_wire_proto::connection::State;
use peer_wire_proto::{BLOCK_LENGTH, Block};

use super::peer::Peer;
use super::{Engine, Exchange, Transmit};
use crate::disk::{Buffer, Job};
use crate::picker::Picker;
use crate::pieces::PeerKey;

/// Blocks per peer that are read ahead or wait to be sent: as many as the peer receives in half a second, so that a
/// cancel or a choke still has an effect. At least this many, to keep a new connection busy,
const MIN_AHEAD: usize = 8;
/// and at most this many: 1 MiB, enough to keep any socket busy.
const MAX_AHEAD: usize = 64;
/// In the end game, blocks that are requested from others are also requested from a peer with fewer outstanding
/// requests than this. One at a time, because most blocks requested twice are sent twice.
const END_GAME_DEPTH: usize = 1;

impl Engine {
    /// The next peer with new bytes to write; its connection may or may not be writable. May change after any call that
    /// takes `now`.
    pub fn poll_ready(&mut self, now: Duration) -> Option<PeerKey> {
        while let Some(key) = self.exchange.ready.pop_first() {
            if self.peers.contains_key(&key) {
                self.pump(now, key);
                return Some(key);
            }
        }
        None
    }

    /// Whether there are bytes to write for the peer, regardless of rate limits.
    #[must_use]
    pub fn wants_transmit(&self, peer: PeerKey) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.connected && !peer.outbox.is_empty())
    }

    /// The next bytes to write to the peer's connection; none while a rate limit prevents it. Repeated calls return the
    /// same bytes until [`handle_transmitted`](Self::handle_transmitted) is called.
    pub fn poll_transmit(&mut self, now: Duration, peer: PeerKey) -> Transmit<'_> {
        let exchange = &mut self.exchange;
        let Some(peer) = self.peers.get(&peer).filter(|peer| peer.connected) else {
            return Transmit::default();
        };
        // Messages without blocks are small and are not limited.
        let allowance = if peer.outbox.blocks() > 0 { exchange.up_limit.allowance(now) } else { u64::MAX };
        if allowance == 0 {
            exchange.limited_until = Some(now + exchange.up_limit.wait());
        }
        peer.outbox.slices(usize::try_from(allowance).unwrap_or(usize::MAX))
    }

    /// Reports that `bytes` bytes from [`poll_transmit`](Self::poll_transmit) were written.
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
        peer.read_ahead(now, exchange);
    }

    /// Sends new requests and other messages, and starts reading requested blocks.
    pub(super) fn pump(&mut self, now: Duration, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.send_owed(now);
        peer.request(now, &mut self.exchange.picker);
        peer.read_ahead(now, &mut self.exchange);
    }

    /// Handles a block read for a peer, which may be disconnected or may have cancelled the request.
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
    /// Sends requests up to the depth of the peer's pipeline.
    fn request(&mut self, now: Duration, picker: &mut Picker) {
        if self.connection.state() != State::Data
            || self.connection.peer_choking()
            || !self.connection.am_interested()
            || now < self.rests_until
        {
            return;
        }
        if self.requests() == 0 {
            // The time without a block counts from now on.
            self.last_block = now;
        }
        let nothing_new = self.nothing_to_pick == Some(picker.news());
        while self.requests() < self.pipeline.depth() {
            let Some(block) = self.pick(picker) else { break };
            if !self.send(|connection, out| connection.request(now, block, out)) {
                picker.lost(self.key, block);
                break;
            }
        }
        if self.requests() == 0 && !nothing_new && !picker.is_interesting(&self.pieces) {
            self.send(|connection, out| connection.not_interested(now, out));
        }
    }

    /// The next block to request. Calls the picker only if its answer may have changed, because a call may go through
    /// all pieces.
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

    /// Starts reading blocks that the peer requested, up to the limit.
    fn read_ahead(&mut self, now: Duration, exchange: &mut Exchange) {
        if self.asked.is_empty() {
            return;
        }
        let blocks = self.up.per_second(now) / u64::from(BLOCK_LENGTH) / 2;
        let ahead = usize::try_from(blocks).unwrap_or(MAX_AHEAD).clamp(MIN_AHEAD, MAX_AHEAD);
        while self.in_flight() < ahead
            && let Some(block) = self.asked.front().copied()
            && let Some(buffer) = exchange.up_buffers.take()
        {
            self.asked.pop_front();
            self.reading += 1;
            exchange.jobs.push_back(Job::Read(self.key, block, buffer));
        }
    }
}
