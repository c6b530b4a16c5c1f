//! What the caller says to the peer: one method a message, each of which writes it to a buffer of the caller's.

use core::time::Duration;

use torrent_ids::InfoHash;

use super::queue::Mark;
use super::{ALLOWED_FAST, Connection, State, Torrent};
use crate::bitfield::Bitfield;
use crate::block::{Block, BlockError};
use crate::error::BufferTooSmall;
use crate::message::Message;
use crate::reserved::Reserved;

/// Each writes at most one message to the front of `out` and says how many octets that are, 0 if there is nothing to
/// say. `out` has [`TRANSMIT_LEN`](Self::TRANSMIT_LEN) octets at least, except for [`bitfield`](Self::bitfield) and
/// [`extended`](Self::extended). An error means that nothing was written and nothing changed.
impl<const QUEUE: usize> Connection<QUEUE> {
    /// Answers the handshake of a peer that connected to us with ours, which names the same torrent.
    ///
    /// # Errors
    /// When the peer has not said its handshake, when it is answered, or closing; when `torrent` is not the one that the
    /// peer named; when `out` is too small.
    pub fn answer(&mut self, now: Duration, torrent: Torrent, out: &mut [u8]) -> Result<usize, ActionError> {
        let (Some(theirs), None, None) = (self.theirs, self.torrent, self.closed) else {
            return Err(ActionError::NotNow { state: self.state() });
        };
        if theirs.info_hash != torrent.info_hash {
            return Err(ActionError::OtherTorrent { expected: theirs.info_hash, got: torrent.info_hash });
        }
        let written = self.handshake(torrent.info_hash).encode(out)?;
        self.take_up(torrent);
        self.handshake_went(now);
        Ok(written)
    }

    /// Announces the pieces that we have, once, before anything else: as "have all" or "have none" where the fast
    /// extension allows it, as nothing where there are none (BEP 3), else as a bitfield of five octets and one bit a
    /// piece. Begins [`State::Data`].
    ///
    /// # Errors
    /// When the handshakes are not through, when it was announced before, when `have` is of another torrent, or when
    /// `out` is too small.
    pub fn bitfield<S: AsRef<[u8]>>(
        &mut self,
        now: Duration,
        have: &Bitfield<S>,
        out: &mut [u8],
    ) -> Result<usize, ActionError> {
        let (State::HandShaken, Some(torrent)) = (self.state(), self.torrent) else {
            return Err(ActionError::NotNow { state: self.state() });
        };
        let pieces = torrent.layout.pieces();
        if have.pieces() != pieces {
            return Err(ActionError::OtherPieces { pieces, got: have.pieces() });
        }
        let written = match (self.fast(), have.is_empty()) {
            (true, true) => self.say(now, Message::HaveNone, out)?,
            (true, false) if have.is_full() => self.say(now, Message::HaveAll, out)?,
            (false, true) => 0,
            _ => self.say(now, Message::Bitfield(have.octets()), out)?,
        };
        self.bitfield_sent = true;
        Ok(written)
    }

    /// Says that we have got, and checked, a piece.
    ///
    /// # Errors
    /// When the torrent doesn't have that piece; when it is not yet, or no more, the time; when `out` is too small.
    pub fn have(&mut self, now: Duration, index: u32, out: &mut [u8]) -> Result<usize, ActionError> {
        self.known_piece(index)?;
        self.say(now, Message::Have(index), out)
    }

    /// Stops answering the peer. What it requested is forgotten; with the fast extension, rejects are owed for it, save
    /// for pieces [allowed](Self::allow_fast). Nothing to say if we choke already.
    ///
    /// # Errors
    /// When it is not yet, or no more, the time; when `out` is too small.
    pub fn choke(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if self.us.choking {
            return Ok(0);
        }
        let written = self.say(now, Message::Choke, out)?;
        self.us.choking = true;
        self.drop_queued(true);
        Ok(written)
    }

    /// Answers the peer from now on. Nothing to say if we do already.
    ///
    /// # Errors
    /// As for [`choke`](Self::choke).
    pub fn unchoke(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if !self.us.choking {
            return Ok(0);
        }
        let written = self.say(now, Message::Unchoke, out)?;
        self.us.choking = false;
        Ok(written)
    }

    /// Says that we would request if the peer unchoked us. Nothing to say if it knows.
    ///
    /// # Errors
    /// As for [`choke`](Self::choke).
    pub fn interested(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if self.us.interested {
            return Ok(0);
        }
        let written = self.say(now, Message::Interested, out)?;
        self.us.interested = true;
        Ok(written)
    }

    /// Says that we want nothing of the peer. Nothing to say if it knows. Peers forget our requests then; without the
    /// fast extension they come back as [`Event::Rejected`](super::Event::Rejected).
    ///
    /// # Errors
    /// As for [`choke`](Self::choke).
    pub fn not_interested(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if !self.us.interested {
            return Ok(0);
        }
        let written = self.say(now, Message::NotInterested, out)?;
        self.us.interested = false;
        self.lose_requests();
        Ok(written)
    }

    /// Requests a block.
    ///
    /// # Errors
    /// When the block is not in the torrent, or longer than the messages accepted; when the peer chokes us and the
    /// piece is not allowed fast, or when we are not interested; when it is requested already (also one taken back that
    /// the peer has yet to answer); when there is no [room](Self::room); when it is not yet, or no more, the time; when
    /// `out` is too small.
    pub fn request(&mut self, now: Duration, block: Block, out: &mut [u8]) -> Result<usize, ActionError> {
        let torrent = self.in_data()?;
        torrent.layout.check(block, self.framer.limit().saturating_sub(9))?;
        if self.them.choking && !self.allowed_us.contains(block.index) {
            return Err(ActionError::Choked);
        }
        if !self.us.interested {
            return Err(ActionError::NotInterested);
        }
        if self.requested.contains(block, Mark::Open) || self.requested.contains(block, Mark::Cancelled) {
            return Err(ActionError::AlreadyRequested(block));
        }
        if self.requested.is_full() {
            return Err(ActionError::QueueFull { limit: QUEUE });
        }
        let written = self.say(now, Message::Request(block), out)?;
        self.requested.push(block, Mark::Open);
        Ok(written)
    }

    /// Takes a request back. With the fast extension the peer answers it all the same, with the block or a reject.
    ///
    /// # Errors
    /// When the block is not [outstanding](Self::outstanding); when it is not yet, or no more, the time; when `out` is
    /// too small.
    pub fn cancel(&mut self, now: Duration, block: Block, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if !self.requested.contains(block, Mark::Open) {
            return Err(ActionError::NotRequested(block));
        }
        let written = self.say(now, Message::Cancel(block), out)?;
        if self.fast() {
            self.requested.mark(block, Mark::Cancelled);
        } else {
            self.requested.remove(block, Mark::Open);
            self.expect_late(1);
        }
        Ok(written)
    }

    /// Answers a request: writes the 13 octets that stand before the block. The block itself, `block.length` octets, the
    /// caller sends right behind them, from wherever it lies, before anything else.
    ///
    /// # Errors
    /// When the block is not [queued](Self::queued), for instance because the peer cancelled it while it was read from
    /// the disk; when it is not yet, or no more, the time; when `out` is too small.
    pub fn piece(&mut self, now: Duration, block: Block, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if !self.queued.contains(block, Mark::Open) {
            return Err(ActionError::NotRequested(block));
        }
        let written = Message::encode_piece_head(block, out)?;
        self.queued.remove(block, Mark::Open);
        self.note_sent(now);
        Ok(written)
    }

    /// Refuses one request (BEP 6).
    ///
    /// # Errors
    /// When the block is not [queued](Self::queued); without the fast extension, which leaves only a choke or a
    /// [close](Self::close); when it is not yet, or no more, the time; when `out` is too small.
    pub fn reject(&mut self, now: Duration, block: Block, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        self.needs(Reserved::FAST)?;
        if !self.queued.contains(block, Mark::Open) {
            return Err(ActionError::NotRequested(block));
        }
        let written = self.say(now, Message::Reject(block), out)?;
        self.queued.remove(block, Mark::Open);
        Ok(written)
    }

    /// Tells the peer that we have this piece at hand (BEP 6).
    ///
    /// # Errors
    /// When the torrent doesn't have that piece; without the fast extension; when it is not yet, or no more, the time;
    /// when `out` is too small.
    pub fn suggest(&mut self, now: Duration, index: u32, out: &mut [u8]) -> Result<usize, ActionError> {
        self.known_piece(index)?;
        self.needs(Reserved::FAST)?;
        self.say(now, Message::Suggest(index), out)
    }

    /// Lets the peer request this piece even while we choke it, for as long as the connection lasts (BEP 6). Which
    /// pieces, the caller decides; BEP 6 derives a set from the peer's address by SHA-1. Nothing to say if it is
    /// allowed already.
    ///
    /// # Errors
    /// When [`ALLOWED_FAST`] pieces are allowed already; else as for [`suggest`](Self::suggest).
    pub fn allow_fast(&mut self, now: Duration, index: u32, out: &mut [u8]) -> Result<usize, ActionError> {
        self.known_piece(index)?;
        self.needs(Reserved::FAST)?;
        if self.allowed_them.contains(index) {
            return Ok(0);
        }
        if self.allowed_them.is_full() {
            return Err(ActionError::AllowedFull { limit: ALLOWED_FAST });
        }
        let written = self.say(now, Message::AllowedFast(index), out)?;
        self.allowed_them.insert(index);
        Ok(written)
    }

    /// Names the UDP port of our DHT node (BEP 5). May go before the bitfield.
    ///
    /// # Errors
    /// Unless both handshakes offered the DHT; when the handshakes are not through, or it is closing; when `out` is too
    /// small.
    pub fn port(&mut self, now: Duration, port: u16, out: &mut [u8]) -> Result<usize, ActionError> {
        self.after_handshakes()?;
        self.needs(Reserved::DHT)?;
        self.say(now, Message::Port(port), out)
    }

    /// Says something in the extension protocol (BEP 10), in six octets and `payload`. May go before the bitfield.
    ///
    /// # Errors
    /// Unless both handshakes offered the extension protocol; when the handshakes are not through, or it is closing;
    /// when `out` is too small.
    pub fn extended(
        &mut self,
        now: Duration,
        id: u8,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, ActionError> {
        self.after_handshakes()?;
        self.needs(Reserved::EXTENSION_PROTOCOL)?;
        self.say(now, Message::Extended { id, payload }, out)
    }

    fn say(&mut self, now: Duration, message: Message<'_>, out: &mut [u8]) -> Result<usize, ActionError> {
        let written = message.encode(out)?;
        self.note_sent(now);
        Ok(written)
    }

    fn in_data(&self) -> Result<Torrent, ActionError> {
        match (self.state(), self.torrent) {
            (State::Data, Some(torrent)) => Ok(torrent),
            (state, _) => Err(ActionError::NotNow { state }),
        }
    }

    fn after_handshakes(&self) -> Result<(), ActionError> {
        if self.is_open() { Ok(()) } else { Err(ActionError::NotNow { state: self.state() }) }
    }

    fn known_piece(&self, index: u32) -> Result<(), ActionError> {
        let pieces = self.in_data()?.layout.pieces();
        if index < pieces { Ok(()) } else { Err(BlockError::Index { index, pieces }.into()) }
    }

    fn needs(&self, extension: Reserved) -> Result<(), ActionError> {
        if self.has(extension) { Ok(()) } else { Err(ActionError::NotOffered(extension)) }
    }
}

/// Why the caller can't do that, or can't do it now. The connection is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// Not in this state.
    #[error("not in the state {state:?}")]
    NotNow {
        /// How far the connection has come.
        state: State,
    },
    /// The buffer doesn't hold the message.
    #[error(transparent)]
    BufferTooSmall(#[from] BufferTooSmall),
    /// The answer to a handshake names another torrent than that did.
    #[error("the peer connected for the torrent {expected}, not {got}")]
    OtherTorrent {
        /// The peer's.
        expected: InfoHash,
        /// The caller's.
        got: InfoHash,
    },
    /// The bitfield is of a torrent with another number of pieces.
    #[error("a bitfield of {got} pieces for a torrent of {pieces}")]
    OtherPieces {
        /// Pieces of the torrent.
        pieces: u32,
        /// Pieces of the bitfield.
        got: u32,
    },
    /// No such piece or block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The peer would not answer: it chokes us, and has not allowed that piece.
    #[error("the peer chokes us")]
    Choked,
    /// The peer would not answer: we didn't tell it that we are interested.
    #[error("we are not interested")]
    NotInterested,
    /// That block is requested, and not answered.
    #[error("piece {}, {} octets from {}, is requested already", .0.index, .0.length, .0.begin)]
    AlreadyRequested(Block),
    /// That block is not requested, or not any more.
    #[error("piece {}, {} octets from {}, is not requested", .0.index, .0.length, .0.begin)]
    NotRequested(Block),
    /// As many requests as the queue holds are unanswered.
    #[error("{limit} requests are unanswered already")]
    QueueFull {
        /// Requests the queue holds.
        limit: usize,
    },
    /// As many pieces as are remembered are allowed fast.
    #[error("{limit} pieces are allowed fast already")]
    AllowedFull {
        /// Pieces that are remembered.
        limit: usize,
    },
    /// Not both handshakes offered the extension.
    #[error("not both handshakes offered {0:?}")]
    NotOffered(Reserved),
}
