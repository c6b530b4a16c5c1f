//! One connection to one peer, without a socket and without a clock.
//!
//! # Use
//! - The caller reads bytes from its transport into a buffer of its own and passes them to
//!   [`handle_input`](Connection::handle_input), which returns an [`Event`] borrowed from them, and the number of bytes
//!   consumed.
//! - The caller decides what to send: each action, such as [`request`](Connection::request) or
//!   [`choke`](Connection::choke), writes one message to the buffer it is given, and returns its length. An action that
//!   fails with an [`ActionError`] has changed nothing.
//! - Messages that need no decision (the first handshake, rejects, keep-alives) come from
//!   [`poll_transmit`](Connection::poll_transmit).
//! - All these bytes go to the transport in the order in which they were written.
//! - The caller calls [`handle_timeout`](Connection::handle_timeout) at the time that
//!   [`poll_timeout`](Connection::poll_timeout) returns. Times are durations since any fixed moment, and never
//!   decrease.
//!
//! # States
//! | here | value in the specification | meaning |
//! |---|---|---|
//! | [`Initial`](State::Initial) | -1 | the local handshake is not sent |
//! | [`HalfShaken`](State::HalfShaken) | 0 | the local handshake is sent, the peer's is not received |
//! | [`HandShaken`](State::HandShaken) | 1 (and 3, `RecvBitfield`) | both handshakes are done; no pieces are announced |
//! | [`Data`](State::Data) | 4 (and 2, `SendBitfield`) | the local pieces are announced |
//! | [`Closing`](State::Closing) | 5 | closed, for a [`CloseReason`] |
//!
//! The specification has two more states, in which one of the two bitfields was seen and the other is awaited. But a
//! peer without pieces may omit its bitfield (BEP 3), so waiting for it might never end. Here [`Data`] begins with the
//! [local bitfield](Connection::bitfield). The peer's bitfield is possible in any state: aria2 sends one at any time,
//! instead of many haves. Messages that the peer sends before the local pieces are announced are handled as well.
//!
//! [`Data`]: State::Data
//!
//! # The caller keeps the sets of pieces
//! The connection knows the torrent's [`Layout`] and checks every index and block against it, but it keeps no set of
//! pieces: it passes the peer's bitfield on, borrowed. A piece picker has to keep the set of each peer anyway, in a
//! form that suits it (a [`Bitfield`] over a `Vec`, counters of how rare a piece is), and a copy here might differ from
//! it. The connection doesn't keep the local pieces either: a request for a piece that was never announced is an event
//! like any other. The caller then closes with [`PieceNotOffered`](CloseReason::PieceNotOffered).
//!
//! # Choking, with and without the fast extension
//! By BEP 3, a choke drops all unanswered requests; with BEP 6 each of them is answered, by a piece or a reject. The
//! caller gets the same event in both cases: a block that will not be sent is [`Rejected`](Event::Rejected). After a
//! cancel or a choke, requested blocks may already be on their way. As many late blocks are accepted as requests were
//! dropped; any further unrequested block closes the connection.

mod action;
mod allowed;
mod close;
mod config;
mod event;
mod input;
mod queue;
mod timing;

use core::time::Duration;

pub use action::ActionError;
pub use allowed::ALLOWED_FAST;
pub use close::CloseReason;
pub use config::{Config, DEFAULT_QUEUE, IDLE_TIMEOUT, KEEP_ALIVE, MAX_MESSAGE, Torrent};
pub use event::{Event, Input};
use torrent_ids::PeerId;

use self::allowed::AllowedSet;
use self::queue::Queue;
#[cfg(doc)]
use crate::bitfield::Bitfield;
use crate::block::Block;
use crate::frame::Framer;
use crate::handshake::Handshake;
#[cfg(doc)]
use crate::layout::Layout;
use crate::message::Message;
use crate::reserved::Reserved;

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The local handshake is not sent. If the peer opened the connection, also while the torrent is looked up.
    Initial,
    /// The local handshake is sent, the peer's is not received.
    HalfShaken,
    /// Both handshakes are done; next, the local pieces are [announced](Connection::bitfield).
    HandShaken,
    /// The local pieces are announced; every message may be sent.
    Data,
    /// Closed: nothing is read or written any more. Discard what is not sent yet.
    Closing,
}

/// Whether one side chokes the other, and is interested in its pieces. "Connections start out choked and not
/// interested" (BEP 3).
#[derive(Clone, Copy, Debug)]
struct Stance {
    choking: bool,
    interested: bool,
}

impl Stance {
    const START: Self = Self { choking: true, interested: false };
}

/// One connection to one peer; see the [module](self) for its use, and the [crate] for an example.
///
/// `QUEUE` is the number of requests that it holds in each direction, at 16 bytes each. If the extension protocol is in
/// use, announce it as `reqq` (BEP 10).
#[derive(Debug)]
pub struct Connection<const QUEUE: usize = DEFAULT_QUEUE> {
    config: Config,
    peer_id: PeerId,
    /// Known from the start on an outgoing connection, from the peer's handshake on an incoming one.
    torrent: Option<Torrent>,
    theirs: Option<Handshake>,
    handshake_sent: bool,
    bitfield_sent: bool,
    /// Whether the peer's next message may be its first one, the only place for "have none".
    bitfield_may_come: bool,
    closed: Option<CloseReason>,

    framer: Framer,
    /// Unconsumed bytes at the end of the last call. If the next call gets more, bytes were received.
    unread: usize,
    /// When bytes were last received.
    last_received: Duration,
    sent: Duration,
    keep_alive_due: bool,

    us: Stance,
    them: Stance,
    /// The local side's requests. `Refused` ones are still to be reported to the caller.
    requested: Queue<QUEUE>,
    /// The peer's requests. For `Refused` ones a reject is still to be sent.
    queued: Queue<QUEUE>,
    /// Answers that may still come to requests no longer in `requested`.
    late: u32,
    /// Pieces that the peer sends even while it chokes the local side.
    allowed_us: AllowedSet,
    /// Pieces that the local side sends even while it chokes the peer.
    allowed_them: AllowedSet,
}

impl<const QUEUE: usize> Connection<QUEUE> {
    /// The most bytes that an action without a payload writes, and that one message of
    /// [`poll_transmit`](Self::poll_transmit) takes: those of a handshake.
    pub const TRANSMIT_LEN: usize = Handshake::LEN;

    /// An outgoing connection, once the transport is connected. It sends first: [`poll_transmit`](Self::poll_transmit)
    /// has the handshake.
    pub fn connect(now: Duration, peer_id: PeerId, torrent: Torrent, config: Config) -> Self {
        let mut connection = Self::accept(now, peer_id, config);
        connection.take_up(torrent);
        connection
    }

    /// An incoming connection. The peer's handshake names the torrent; see [`Event::Handshake`] and
    /// [`answer`](Self::answer).
    pub fn accept(now: Duration, peer_id: PeerId, config: Config) -> Self {
        Self {
            config,
            peer_id,
            torrent: None,
            theirs: None,
            handshake_sent: false,
            bitfield_sent: false,
            bitfield_may_come: true,
            closed: None,
            framer: Framer::new(config.max_message),
            unread: 0,
            last_received: now,
            sent: now,
            keep_alive_due: false,
            us: Stance::START,
            them: Stance::START,
            requested: Queue::new(),
            queued: Queue::new(),
            late: 0,
            allowed_us: AllowedSet::new(),
            allowed_them: AllowedSet::new(),
        }
    }

    /// Sets the torrent, and with it the limit for messages.
    fn take_up(&mut self, torrent: Torrent) {
        self.framer.set_limit(self.config.message_limit(&torrent.layout));
        self.torrent = Some(torrent);
    }

    /// Closes the connection. If it is closed already, the first reason stays.
    pub fn close(&mut self, reason: CloseReason) {
        self.closed.get_or_insert(reason);
    }

    /// The current state.
    pub fn state(&self) -> State {
        if self.closed.is_some() {
            State::Closing
        } else if !self.handshake_sent {
            State::Initial
        } else if self.theirs.is_none() {
            State::HalfShaken
        } else if !self.bitfield_sent {
            State::HandShaken
        } else {
            State::Data
        }
    }

    /// Why it is in the state [`Closing`](State::Closing); `None` in any other state.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.closed
    }

    /// The torrent, once it is known.
    pub fn torrent(&self) -> Option<Torrent> {
        self.torrent
    }

    /// The peer's handshake, once it is received.
    pub fn peer_handshake(&self) -> Option<Handshake> {
        self.theirs
    }

    /// Whether both handshakes offer all of these extensions.
    pub fn has(&self, extension: Reserved) -> bool {
        self.theirs.is_some_and(|theirs| (theirs.reserved & self.config.reserved).has(extension))
    }

    /// Whether the local side chokes the peer: it doesn't answer its requests.
    pub fn am_choking(&self) -> bool {
        self.us.choking
    }

    /// Whether the local side has sent "interested".
    pub fn am_interested(&self) -> bool {
        self.us.interested
    }

    /// Whether the peer chokes the local side: it doesn't answer requests.
    pub fn peer_choking(&self) -> bool {
        self.them.choking
    }

    /// Whether the peer has sent "interested".
    pub fn peer_interested(&self) -> bool {
        self.them.interested
    }

    /// The local side's unanswered requests, oldest first.
    pub fn outstanding(&self) -> impl Iterator<Item = Block> {
        self.requested.open()
    }

    /// How many more blocks can be requested now. With the fast extension, cancelled requests count until the peer has
    /// answered them.
    pub fn room(&self) -> usize {
        QUEUE - self.requested.len()
    }

    /// The peer's unanswered requests, oldest first.
    pub fn queued(&self) -> impl Iterator<Item = Block> {
        self.queued.open()
    }

    /// Size in bytes of a receive buffer that holds any accepted message, its length prefix included. Grows at most
    /// once, when the torrent becomes known.
    pub fn receive_len(&self) -> usize {
        self.framer.buffer_len().max(Handshake::LEN)
    }

    fn fast(&self) -> bool {
        self.has(Reserved::FAST)
    }

    /// Whether messages may be sent and received.
    fn is_open(&self) -> bool {
        matches!(self.state(), State::HandShaken | State::Data)
    }
}

const _: () = {
    // `TRANSMIT_LEN` is enough for a request and for the head of a piece.
    assert!(Handshake::LEN >= 5 + Block::LEN && Handshake::LEN >= Message::PIECE_HEAD_LEN);
};
