//! One peer: its connection and its state.

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

/// The most bytes of messages that may wait for a peer before reading from it stops. Otherwise a peer that sends but
/// never reads would fill our memory with replies.
const UNREAD: usize = 256 << 10;

/// A connection, made or in the making.
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
    /// Bytes received but not consumed.
    pub(super) unread: usize,
    /// Input could not be consumed because no buffer was free.
    pub(super) stalled: bool,
    /// How many useless bytes it may send.
    pub(super) allowance: Allowance,
    pub(super) outbox: Outbox,

    pub(super) pipeline: Pipeline,
    /// Bytes of blocks from it, and to it.
    pub(super) down: Speed,
    pub(super) up: Speed,
    /// When it last sent a block; or when requests were sent to it while none was outstanding.
    pub(super) last_block: Duration,
    /// When reading from it was last stopped, by a rate limit or because no buffer was free.
    pub(super) held_up: Duration,
    /// When a block was last sent or received.
    pub(super) last_useful: Duration,
    /// No requests before this time, because it sent no blocks or rejected a request.
    pub(super) rests_until: Duration,
    /// The picker's [version](crate::picker::Picker::news) when `pick` last returned no block for this peer, and the
    /// same for `pick_again`.
    pub(super) nothing_to_pick: Option<u64>,
    pub(super) nothing_to_pick_again: Option<u64>,

    /// Blocks that it requested and that are not yet being read from the disk.
    pub(super) asked: VecDeque<Block>,
    /// Blocks that are being read from the disk for it.
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

    /// The properties that count when connections exceed the limit.
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

    /// Sends a message. False if the protocol state doesn't allow it.
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

    /// Sends messages that the protocol requires without a decision of ours.
    pub(super) fn send_owed(&mut self, now: Duration) {
        while self.connected && self.connection.wants_transmit() && !self.is_clogged() {
            let mut bytes = [0; 512];
            match self.connection.poll_transmit(now, &mut bytes) {
                0 => break,
                length => self.outbox.push(&bytes[..length]),
            }
        }
    }

    /// Whether too many bytes wait because the peer doesn't read.
    pub(super) fn is_clogged(&self) -> bool {
        self.outbox.messages() > UNREAD
    }

    /// Outstanding requests, including cancelled ones.
    pub(super) fn requests(&self) -> usize {
        DEFAULT_QUEUE - self.connection.room()
    }

    /// Blocks for this peer that hold buffers.
    pub(super) fn in_flight(&self) -> usize {
        self.reading + self.outbox.blocks()
    }

    /// Allows a new call of the picker for this peer.
    pub(super) fn look_again(&mut self) {
        self.nothing_to_pick = None;
        self.nothing_to_pick_again = None;
    }
}
