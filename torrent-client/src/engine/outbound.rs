//! What peers are sent: requests, and the blocks that they requested.

use std::io;

use peer_wire_proto::Block;
use peer_wire_proto::connection::{CloseReason, State};

use super::Session;
use super::peer::{AHEAD, Peer};
use crate::picker::PeerKey;
use crate::storage::{Buffer, Job};

/// In the end game, a peer with fewer requests than this is asked for what others owe.
const END_GAME_DEPTH: usize = 8;

impl Session {
    /// Requests from a peer as much as its pipeline takes.
    pub(super) fn request(&mut self, peer: &mut Peer) {
        if peer.connection.state() != State::Data
            || peer.connection.peer_choking()
            || !peer.connection.am_interested()
            || self.now < peer.rests_until
        {
            return;
        }
        if peer.requests() == 0 {
            // From now on it lets us wait.
            peer.last_block = self.now;
        }
        let now = self.now;
        while peer.requests() < peer.pipeline.depth() {
            let block = self.picker.pick(peer.key, &peer.pieces).or_else(|| {
                let idle = peer.requests() < END_GAME_DEPTH;
                idle.then(|| self.picker.pick_again(peer.key, &peer.pieces)).flatten()
            });
            let Some(block) = block else { break };
            if !peer.say(|connection, out| connection.request(now, block, out)) {
                self.picker.lost(peer.key, block);
                break;
            }
        }
        if peer.requests() == 0 && !self.picker.is_interesting(&peer.pieces) {
            peer.say(|connection, out| connection.not_interested(now, out));
        }
    }

    /// Has blocks read that the peer requested, as far as there is room.
    pub(super) fn read_ahead(&mut self, peer: &mut Peer) {
        while peer.in_flight() < AHEAD
            && let Some(block) = peer.asked.front().copied()
            && let Some(buffer) = self.up_buffers.take()
        {
            peer.asked.pop_front();
            peer.reading += 1;
            self.disk.add(block.index, Job::Read(peer.key, block, buffer));
        }
    }

    /// A block was read for a peer that may be gone, or not want it any more.
    pub(super) fn block_read(&mut self, key: PeerKey, block: Block, buffer: Buffer) {
        let Some(peer) = self.peers.get_mut(&key) else { return self.up_buffers.put(buffer) };
        peer.reading -= 1;
        let mut head = [0; <peer_wire_proto::Connection>::TRANSMIT_LEN];
        match peer.connection.piece(self.now, block, &mut head) {
            Ok(length) => {
                let octets = usize::try_from(block.length).unwrap_or(usize::MAX).min(buffer.len());
                peer.outbox.push_block(&head[..length], buffer, octets);
            }
            Err(_) => self.up_buffers.put(buffer),
        }
        self.active.insert(key);
    }

    /// Sends what the transport takes. Whether anything was sent.
    pub(super) fn write(&mut self, peer: &mut Peer) -> Result<bool, CloseReason> {
        let mut progress = false;
        // A few writes fill any transport; then it is the others' turn.
        for _ in 0..4 {
            if !peer.writable || peer.outbox.is_empty() {
                break;
            }
            // Messages alone are few octets, and are not held back.
            let limited = peer.outbox.blocks() > 0;
            let allowance = if limited { self.up_limit.allowance(self.now) } else { u64::MAX };
            let limit = usize::try_from(allowance).unwrap_or(usize::MAX);
            if limit == 0 {
                break;
            }
            let up_buffers = &mut self.up_buffers;
            match peer.outbox.write(&mut peer.stream, limit, |buffer| up_buffers.put(buffer)) {
                Ok(written) => {
                    let payload = u64::try_from(written.payload).unwrap_or(u64::MAX);
                    self.up_limit.spend(payload);
                    self.up.add(self.now, payload);
                    peer.up.add(self.now, payload);
                    if payload > 0 {
                        peer.last_useful = self.now;
                    }
                    progress = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(CloseReason::Gone),
            }
        }
        if progress {
            self.read_ahead(peer);
        }
        Ok(progress)
    }
}
