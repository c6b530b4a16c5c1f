//! One peer: its connection, and what is known of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use peer_wire_proto::connection::{ActionError, DEFAULT_QUEUE, State};
use peer_wire_proto::{Block, Connection};
use tracing::debug;

use super::outbox::Outbox;
use crate::allowance::Allowance;
use crate::pieces::{PeerKey, PieceSet};
use crate::pipeline::Pipeline;
use crate::places::Place;
use crate::rate::Speed;

/// Bytes of messages that may wait for a peer before nothing more is read from it. A peer that sends and never reads
/// would otherwise fill our memory with the answers.
const UNREAD: usize = 256 << 10;

/// A connection, being made or made.
pub(super) struct Peer {
    pub(super) key: PeerKey,
    pub(super) address: SocketAddr,
    /// Whether we connected to it.
    pub(super) outgoing: bool,
    pub(super) since: Duration,
    /// Whether the connection is made.
    pub(super) connected: bool,
    pub(super) connection: Connection,
    /// The pieces that the peer has, as the picker counts them.
    pub(super) pieces: PieceSet,
    /// Bytes that came and are not done with.
    pub(super) unread: usize,
    /// Bytes could not be taken for want of a buffer.
    pub(super) stalled: bool,
    /// What it may send that is of no use.
    pub(super) allowance: Allowance,
    pub(super) outbox: Outbox,

    pub(super) pipeline: Pipeline,
    /// From it, and to it.
    pub(super) down: Speed,
    pub(super) up: Speed,
    /// When it last sent a block, or was first sent a request.
    pub(super) last_block: Duration,
    /// When nothing was read from it, last, to keep a limit or for want of a buffer.
    pub(super) held_up: Duration,
    /// When a block last went or came.
    pub(super) last_useful: Duration,
    /// Nothing is requested before this moment, as it sent no blocks, or rejects.
    pub(super) rests_until: Duration,
    /// The picker's [news](crate::picker::Picker::news) when there was nothing to pick for this peer, and when there was
    /// nothing to pick again.
    pub(super) nothing_to_pick: Option<u64>,
    pub(super) nothing_to_pick_again: Option<u64>,

    /// Blocks that it requested and that are not yet read from the disk.
    pub(super) asked: VecDeque<Block>,
    /// Blocks that are being read for it.
    pub(super) reading: usize,
}

impl Peer {
    pub(super) fn new(
        key: PeerKey,
        address: SocketAddr,
        outgoing: bool,
        connection: Connection,
        pieces: PieceSet,
        now: Duration,
    ) -> Self {
        Self {
            key,
            address,
            outgoing,
            since: now,
            connected: !outgoing,
            connection,
            unread: 0,
            stalled: false,
            allowance: Allowance::new(now, u32::try_from(pieces.bytes().len()).unwrap_or(u32::MAX)),
            pieces,
            outbox: Outbox::default(),
            pipeline: Pipeline::new(now),
            down: Speed::default(),
            up: Speed::default(),
            last_block: now,
            held_up: Duration::ZERO,
            last_useful: now,
            rests_until: Duration::ZERO,
            nothing_to_pick: None,
            nothing_to_pick_again: None,
            asked: VecDeque::new(),
            reading: 0,
        }
    }

    /// What counts when places are short.
    pub(super) fn place(&self) -> Place {
        Place {
            peer: self.key,
            host: self.address.ip().to_canonical(),
            incoming: !self.outgoing,
            ready: self.is_ready(),
            interested: self.connection.peer_interested() || self.connection.am_interested(),
            since: self.since,
            last_block: self.last_useful,
        }
    }

    /// Whether handshakes are done and messages may be sent.
    pub(super) fn is_ready(&self) -> bool {
        self.connection.state() == State::Data
    }

    /// Sends a message; false if it can't be sent now.
    pub(super) fn send(
        &mut self,
        action: impl FnOnce(&mut Connection, &mut [u8]) -> Result<usize, ActionError>,
    ) -> bool {
        let mut message = [0; <Connection>::TRANSMIT_LEN];
        match action(&mut self.connection, &mut message) {
            Ok(length) => {
                self.outbox.push(&message[..length]);
                true
            }
            Err(error) => {
                debug!("{}: {error}", self.address);
                false
            }
        }
    }

    /// Sends what the protocol demands without a decision.
    pub(super) fn send_owed(&mut self, now: Duration) {
        while self.connected && self.connection.wants_transmit() && !self.is_clogged() {
            let mut bytes = [0; 512];
            match self.connection.poll_transmit(now, &mut bytes) {
                0 => break,
                length => self.outbox.push(&bytes[..length]),
            }
        }
    }

    /// Whether the peer doesn't read what is sent to it.
    pub(super) fn is_clogged(&self) -> bool {
        self.outbox.messages() > UNREAD
    }

    /// Requests that are not answered, those taken back included.
    pub(super) fn requests(&self) -> usize {
        DEFAULT_QUEUE - self.connection.room()
    }

    /// Blocks to be sent that hold buffers.
    pub(super) fn in_flight(&self) -> usize {
        self.reading + self.outbox.blocks()
    }

    /// There may be something to pick for it that there was not.
    pub(super) fn look_again(&mut self) {
        self.nothing_to_pick = None;
        self.nothing_to_pick_again = None;
    }
}
