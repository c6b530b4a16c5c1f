//! One connection to one peer, without a socket and without a clock.
//!
//! # Who does what
//! - The caller reads octets from its transport into a buffer of its own and shows them to
//!   [`handle_input`](Connection::handle_input), which borrows [`Event`]s from it and says how much is done with.
//! - The caller decides: each action, such as [`request`](Connection::request) or [`choke`](Connection::choke), writes
//!   one message to the buffer it is handed, and says how many octets that are. It either does all of it or, with an
//!   [`ActionError`], none.
//! - What the protocol owes without a decision (the first handshake, rejects, keep-alives) comes from
//!   [`poll_transmit`](Connection::poll_transmit).
//! - All these octets go to the transport in the order in which they were written.
//! - The caller calls [`handle_timeout`](Connection::handle_timeout) once [`poll_timeout`](Connection::poll_timeout)
//!   has come. Time is what has passed since any fixed moment, and doesn't go back.
//!
//! # States
//! | here | the documents' value | meaning |
//! |---|---|---|
//! | [`Initial`](State::Initial) | -1 | our handshake is not out |
//! | [`HalfShaken`](State::HalfShaken) | 0 | our handshake is out, the peer's has not come |
//! | [`HandShaken`](State::HandShaken) | 1 (and 3, `RecvBitfield`) | both are through; our pieces are not announced |
//! | [`Data`](State::Data) | 4 (and 2, `SendBitfield`) | our pieces are announced; messages flow |
//! | [`Closing`](State::Closing) | 5 | it is over, for a [`CloseReason`] |
//!
//! The documents know two more states, in which one of the two bitfields was seen and the other is awaited. But a peer
//! without pieces may leave its bitfield out (BEP 3), so that waiting for it could last for ever. Here [`Data`] begins
//! with [ours](Connection::bitfield), which is in our hand; whether the peer's may still come is no state: aria2 sends
//! one at any time, in place of many haves. What a peer says before we announced our pieces is taken all the same.
//!
//! [`Data`]: State::Data
//!
//! # Where the pieces are kept
//! Not here: the connection knows the torrent's [`Layout`], checks all that the peer says against it, and hands on the
//! peer's bitfield borrowed. Who picks pieces has to keep every peer's set anyway, in the form that suits the picking
//! (a [`Bitfield`] over a `Vec`, counters of how rare a piece is); a second copy would only grow stale. Equally the
//! connection does not know which pieces we have: a request for one we never announced is an event like any, and
//! [`PieceNotOffered`](CloseReason::PieceNotOffered) is there to close with.
//!
//! # Choking, with and without the fast extension
//! A choke drops all unanswered requests of BEP 3; with BEP 6 each of them is answered, by a piece or a reject. The
//! caller sees no difference but in time: what will not come is [`Rejected`](Event::Rejected). What a peer sends although
//! we took the request back or a choke dropped it was on its way when that happened: so many blocks as that may concern
//! are passed over, further ones close the connection.

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

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Our handshake is not out. Of whom a peer connected to, also while the torrent is looked up.
    Initial,
    /// Our handshake is out, the peer's has not come.
    HalfShaken,
    /// Both handshakes are through; our pieces are to be [announced](Connection::bitfield).
    HandShaken,
    /// Our pieces are announced, everything may be said.
    Data,
    /// It is over: nothing is read or written any more, and what is yet unsent is best thrown away.
    Closing,
}

/// What one side last said about itself. "Connections start out choked and not interested" (BEP 3).
#[derive(Clone, Copy, Debug)]
struct Stance {
    choking: bool,
    interested: bool,
}

impl Stance {
    const START: Self = Self { choking: true, interested: false };
}

/// One connection to one peer; see the [module](self) for how it is driven, and the [crate] for an example.
///
/// `QUEUE` is the number of requests that it holds in each direction, at 16 octets each; announce it as `reqq` (BEP 10)
/// if the extension protocol is spoken.
#[derive(Debug)]
pub struct Connection<const QUEUE: usize = DEFAULT_QUEUE> {
    config: Config,
    peer_id: PeerId,
    /// Known from the start to who connects, by the peer's handshake to whom it connects to.
    torrent: Option<Torrent>,
    theirs: Option<Handshake>,
    handshake_sent: bool,
    bitfield_sent: bool,
    /// Whether the peer's next message may be its first.
    bitfield_may_come: bool,
    closed: Option<CloseReason>,

    framer: Framer,
    /// Octets shown last time that were not consumed: more of them means that some came.
    unread: usize,
    heard: Duration,
    sent: Duration,
    keep_alive_owed: bool,

    us: Stance,
    them: Stance,
    /// Our requests. `Refused` ones the caller has yet to be told about.
    requested: Queue<QUEUE>,
    /// The peer's requests. `Refused` ones are owed a reject.
    queued: Queue<QUEUE>,
    /// Answers that may come to requests no longer in `requested`.
    late: u32,
    /// What the peer answers despite its choke, and what we do despite ours.
    allowed_us: AllowedSet,
    allowed_them: AllowedSet,
}

impl<const QUEUE: usize> Connection<QUEUE> {
    /// The most octets that an action without a payload of its own writes, and that any step of
    /// [`poll_transmit`](Self::poll_transmit) does: those of a handshake.
    pub const TRANSMIT_LEN: usize = Handshake::LEN;

    /// The side that connects, once the transport stands. It speaks first: [`poll_transmit`](Self::poll_transmit) has
    /// the handshake.
    pub fn connect(now: Duration, peer_id: PeerId, torrent: Torrent, config: Config) -> Self {
        let mut connection = Self::accept(now, peer_id, config);
        connection.take_up(torrent);
        connection
    }

    /// The side that a peer connected to. The peer's handshake names the torrent; see
    /// [`Event::Handshake`] and [`answer`](Self::answer).
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
            heard: now,
            sent: now,
            keep_alive_owed: false,
            us: Stance::START,
            them: Stance::START,
            requested: Queue::new(),
            queued: Queue::new(),
            late: 0,
            allowed_us: AllowedSet::new(),
            allowed_them: AllowedSet::new(),
        }
    }

    /// The torrent is known from now on, and with it the longest message.
    fn take_up(&mut self, torrent: Torrent) {
        self.framer.set_limit(self.config.message_limit(&torrent.layout));
        self.torrent = Some(torrent);
    }

    /// Ends the connection; the first reason is the one that counts.
    pub fn close(&mut self, reason: CloseReason) {
        self.closed.get_or_insert(reason);
    }

    /// How far it has come.
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

    /// Why it is [`Closing`](State::Closing), if it is.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.closed
    }

    /// The torrent, once it is known.
    pub fn torrent(&self) -> Option<Torrent> {
        self.torrent
    }

    /// What the peer said first, once it did.
    pub fn peer_handshake(&self) -> Option<Handshake> {
        self.theirs
    }

    /// Whether both handshakes offer every one of these extensions.
    pub fn has(&self, extension: Reserved) -> bool {
        self.theirs.is_some_and(|theirs| (theirs.reserved & self.config.reserved).has(extension))
    }

    /// Whether we don't answer the peer's requests.
    pub fn am_choking(&self) -> bool {
        self.us.choking
    }

    /// Whether we told the peer that we want something.
    pub fn am_interested(&self) -> bool {
        self.us.interested
    }

    /// Whether the peer doesn't answer our requests.
    pub fn peer_choking(&self) -> bool {
        self.them.choking
    }

    /// Whether the peer wants something of us.
    pub fn peer_interested(&self) -> bool {
        self.them.interested
    }

    /// Our requests that are to be answered, oldest first.
    pub fn outstanding(&self) -> impl Iterator<Item = Block> {
        self.requested.open()
    }

    /// How many more blocks can be requested now. Requests taken back count until the peer has answered them, if the
    /// fast extension makes it answer.
    pub fn room(&self) -> usize {
        QUEUE - self.requested.len()
    }

    /// The peer's requests that are to be answered, oldest first.
    pub fn queued(&self) -> impl Iterator<Item = Block> {
        self.queued.open()
    }

    /// Octets of a receive buffer that holds any message accepted, its length included. Grows at most once, when the
    /// torrent gets known.
    pub fn receive_len(&self) -> usize {
        self.framer.buffer_len().max(Handshake::LEN)
    }

    fn fast(&self) -> bool {
        self.has(Reserved::FAST)
    }

    /// Whether messages may be said and heard.
    fn is_open(&self) -> bool {
        matches!(self.state(), State::HandShaken | State::Data)
    }
}

const _: () = {
    // What `TRANSMIT_LEN` promises.
    assert!(Handshake::LEN >= 5 + Block::LEN && Handshake::LEN >= Message::PIECE_HEAD_LEN);
};
