//! One peer: its connection, and what is known of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use peer_wire_proto::connection::{ActionError, CloseReason, DEFAULT_QUEUE, State};
use peer_wire_proto::{Block, Connection};
use tracing::debug;

use super::outbox::Outbox;
use crate::allowance::Allowance;
use crate::picker::{PeerKey, PieceSet};
use crate::pipeline::Pipeline;
use crate::places::Place;
use crate::rate::Speed;

/// Blocks that are read ahead for a peer, or wait to be sent to it: 1 MiB, enough to keep any socket busy.
pub(super) const AHEAD: usize = 64;

/// Octets of messages that may wait for a peer before nothing more is read from it. What it does then has no answers,
/// which would otherwise fill our memory if it reads none.
const UNREAD: usize = 256 << 10;

/// A connection, being made or made.
pub(super) struct Peer {
    pub(super) key: PeerKey,
    pub(super) address: SocketAddr,
    pub(super) stream: TcpStream,
    /// Whether we connected to it.
    pub(super) outgoing: bool,
    pub(super) since: Duration,
    /// Whether the transport stands.
    pub(super) connected: bool,
    pub(super) connection: Connection,
    /// What the peer has, as the picker counts it.
    pub(super) pieces: PieceSet,

    /// The transport may have octets for us.
    pub(super) readable: bool,
    /// The transport may take octets.
    pub(super) writable: bool,
    /// There are octets of it that could not be handled yet for want of a buffer.
    pub(super) stalled: bool,
    /// Octets of a message that is not wholly there.
    pub(super) leftover: Vec<u8>,
    pub(super) outbox: Outbox,

    pub(super) pipeline: Pipeline,
    /// From it, and to it.
    pub(super) down: Speed,
    pub(super) up: Speed,
    /// When it last sent a block, or was first asked.
    pub(super) last_block: Duration,
    /// When a block last went or came.
    pub(super) last_useful: Duration,
    /// What it may send that is of no use.
    pub(super) allowance: Allowance,
    /// Nothing is requested before this moment: it let us wait, or refused.
    pub(super) rests_until: Duration,

    /// What it requested and is not yet read from the disk.
    pub(super) asked: VecDeque<Block>,
    /// Blocks that are being read for it.
    pub(super) reading: usize,
}

impl Peer {
    pub(super) fn new(
        key: PeerKey,
        address: SocketAddr,
        stream: TcpStream,
        connection: Connection,
        pieces: PieceSet,
        now: Duration,
    ) -> Self {
        Self {
            key,
            address,
            stream,
            outgoing: false,
            since: now,
            connected: false,
            connection,
            readable: false,
            writable: false,
            stalled: false,
            leftover: Vec::new(),
            outbox: Outbox::default(),
            pipeline: Pipeline::new(now),
            down: Speed::default(),
            up: Speed::default(),
            last_block: now,
            last_useful: now,
            allowance: Allowance::new(now, u32::try_from(pieces.as_bytes().len()).unwrap_or(u32::MAX)),
            rests_until: Duration::ZERO,
            asked: VecDeque::new(),
            reading: 0,
            pieces,
        }
    }

    /// What is to be known of it when places are short.
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

    /// Whether messages may be said.
    pub(super) fn is_ready(&self) -> bool {
        self.connection.state() == State::Data
    }

    /// Says something; false if it can't be said now.
    pub(super) fn say(
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

    /// What the protocol owes.
    pub(super) fn say_owed(&mut self, now: Duration) {
        while self.connection.wants_transmit() && !self.is_clogged() {
            let mut octets = [0; 512];
            match self.connection.poll_transmit(now, &mut octets) {
                0 => break,
                length => self.outbox.push(&octets[..length]),
            }
        }
    }

    /// Whether the peer doesn't read what it is told.
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

    /// Whether there is something to do for it now.
    pub(super) fn is_active(&self) -> bool {
        self.readable || self.stalled || (self.writable && !self.outbox.is_empty())
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.connection.close(reason);
    }
}
