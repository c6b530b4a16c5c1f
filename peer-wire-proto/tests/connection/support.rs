//! Two connections and the wire between them, in simulated time.

use std::collections::VecDeque;
use std::time::Duration;

use peer_wire_proto::connection::{ActionError, CloseReason, Config, Event, Torrent};
use peer_wire_proto::{Bitfield, Block, Connection, Handshake, InfoHash, Layout, Message, PeerId, Reserved};

pub(crate) const HASH: InfoHash =
    InfoHash(*b"\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01");
pub(crate) const LOCAL_ID: PeerId = PeerId(*b"-XX0001-localpeerxyz");
pub(crate) const PEER_ID: PeerId = PeerId(*b"-YY0002-remotepeerxy");

/// Requests that the connections under test hold: few, so that tests can reach the limit.
pub(crate) const QUEUE: usize = 4;
pub(crate) type Conn = Connection<QUEUE>;

/// 40 000 bytes: two pieces of 16 KiB and one of 7232.
pub(crate) fn torrent() -> Torrent {
    Torrent { info_hash: HASH, layout: Layout::new(40_000, 16_384).unwrap() }
}

pub(crate) fn config(fast: bool) -> Config {
    Config { reserved: if fast { Reserved::FAST } else { Reserved::NONE }, ..Config::default() }
}

pub(crate) fn block(index: u32) -> Block {
    Block { index, begin: 0, length: if index == 2 { 7_232 } else { 16_384 } }
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An event that outlives the buffer it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Handshake(Handshake),
    Choked,
    Unchoked,
    Interested,
    NotInterested,
    Have(u32),
    Bitfield(Vec<u8>),
    HaveAll,
    HaveNone,
    Requested(Block),
    Cancelled(Block),
    Piece(Block, Vec<u8>),
    Late(Block),
    Rejected(Block),
    Suggested(u32),
    AllowedFast(u32),
    Port(u16),
    Extended(u8, Vec<u8>),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Handshake(handshake) => Self::Handshake(handshake),
            Event::Choked => Self::Choked,
            Event::Unchoked => Self::Unchoked,
            Event::Interested => Self::Interested,
            Event::NotInterested => Self::NotInterested,
            Event::Have(index) => Self::Have(index),
            Event::Bitfield(bitfield) => Self::Bitfield(bitfield.as_bytes().to_vec()),
            Event::HaveAll => Self::HaveAll,
            Event::HaveNone => Self::HaveNone,
            Event::Requested(block) => Self::Requested(block),
            Event::Cancelled(block) => Self::Cancelled(block),
            Event::Piece { block, data } => Self::Piece(block, data.to_vec()),
            Event::Late(block) => Self::Late(block),
            Event::Rejected(block) => Self::Rejected(block),
            Event::Suggested(index) => Self::Suggested(index),
            Event::AllowedFast(index) => Self::AllowedFast(index),
            Event::Port(port) => Self::Port(port),
            Event::Extended { id, payload } => Self::Extended(id, payload.to_vec()),
            _ => panic!("an event without a variant in `Seen`: {event:?}"),
        }
    }
}

/// One end: a connection, the bytes under way to it, and its events.
pub(crate) struct End {
    pub(crate) connection: Conn,
    pub(crate) inbox: Vec<u8>,
    pub(crate) outbox: Vec<u8>,
    pub(crate) seen: VecDeque<Seen>,
    pub(crate) now: Duration,
}

impl End {
    pub(crate) fn new(connection: Conn) -> Self {
        Self { connection, inbox: Vec::new(), outbox: Vec::new(), seen: VecDeque::new(), now: Duration::ZERO }
    }

    /// Runs an action and sends what it writes.
    pub(crate) fn act(
        &mut self,
        action: impl FnOnce(&mut Conn, Duration, &mut [u8]) -> Result<usize, ActionError>,
    ) -> Result<usize, ActionError> {
        let mut out = [0; 256];
        let written = action(&mut self.connection, self.now, &mut out)?;
        self.outbox.extend_from_slice(&out[..written]);
        Ok(written)
    }

    /// Sends a block that was requested.
    pub(crate) fn send_block(&mut self, block: Block, data: &[u8]) -> Result<(), ActionError> {
        self.act(|connection, now, out| connection.piece(now, block, out))?;
        self.outbox.extend_from_slice(data);
        Ok(())
    }

    /// Sends what is due.
    pub(crate) fn transmit(&mut self) -> usize {
        let mut out = [0; Handshake::LEN];
        let mut all = 0;
        loop {
            let wanted = self.connection.wants_transmit();
            let written = self.connection.poll_transmit(self.now, &mut out);
            assert_eq!(wanted, written > 0);
            if written == 0 {
                return all;
            }
            self.outbox.extend_from_slice(&out[..written]);
            all += written;
        }
    }

    /// Receives bytes, behind those that wait in the inbox.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        self.inbox.extend_from_slice(bytes);
        loop {
            let input = self.connection.handle_input(self.now, &self.inbox)?;
            let more = input.event.is_some();
            self.seen.extend(input.event.map(Seen::from));
            self.inbox.drain(..input.consumed);
            if !more {
                return Ok(());
            }
        }
    }

    pub(crate) fn receive_message(&mut self, message: Message<'_>) -> Result<(), CloseReason> {
        let bytes = wire(message);
        self.receive(&bytes)
    }

    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        self.seen.drain(..).collect()
    }

    pub(crate) fn take_sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }
}

pub(crate) fn wire(message: Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.encoded_len()];
    message.encode(&mut out).unwrap();
    out
}

pub(crate) fn handshake_of(peer_id: PeerId, reserved: Reserved) -> Vec<u8> {
    let mut out = vec![0; Handshake::LEN];
    Handshake { reserved, info_hash: HASH, peer_id }.encode(&mut out).unwrap();
    out
}

/// A connection in the state Data, whose peer is the test itself; nothing sent or seen is left over.
pub(crate) fn in_data(fast: bool, pieces: &[u8]) -> End {
    let mut end = hand_shaken(config(fast), config(fast).reserved);
    let have = Bitfield::decode(pieces, 3).unwrap();
    end.act(|connection, now, out| connection.bitfield(now, &have, out)).unwrap();
    end.take_sent();
    end
}

/// An outgoing connection in the state HandShaken, whose peer is the test itself.
pub(crate) fn hand_shaken(config: Config, theirs: Reserved) -> End {
    let mut end = End::new(Conn::connect(Duration::ZERO, LOCAL_ID, torrent(), config));
    assert_eq!(end.transmit(), Handshake::LEN);
    end.receive(&handshake_of(PEER_ID, theirs)).unwrap();
    end.take_seen();
    end.take_sent();
    end
}
