//! Messages to the peer: one method for each, which writes it to the caller's buffer.

use core::time::Duration;

use torrent_ids::InfoHash;

use super::queue::Mark;
use super::{ALLOWED_FAST, Connection, State, Torrent};
use crate::bitfield::Bitfield;
use crate::block::{Block, BlockError};
use crate::error::BufferTooSmall;
use crate::message::Message;
use crate::reserved::Reserved;

/// Each method writes at most one message to the front of `out` and returns its length in bytes, 0 if no message is
/// needed. [`TRANSMIT_LEN`](Self::TRANSMIT_LEN) bytes are enough for `out`, except for [`bitfield`](Self::bitfield) and
/// [`extended`](Self::extended), which may need more. On an error nothing was written and nothing changed.
impl<const QUEUE: usize> Connection<QUEUE> {
    /// Answers the peer's handshake on an incoming connection, with the local handshake for the same torrent.
    ///
    /// # Errors
    /// When the peer's handshake is not received, or is answered already, or the connection is closed; when `torrent`
    /// is not the one that the peer named; when `out` is too small.
    pub fn answer(&mut self, now: Duration, torrent: Torrent, out: &mut [u8]) -> Result<usize, ActionError> {
        let (Some(theirs), None, None) = (self.theirs, self.torrent, self.closed) else {
            return Err(ActionError::NotNow { state: self.state() });
        };
        if theirs.info_hash != torrent.info_hash {
            return Err(ActionError::OtherTorrent { expected: theirs.info_hash, got: torrent.info_hash });
        }
        let written = self.handshake(torrent.info_hash).encode(out)?;
        self.take_up(torrent);
        self.handshake_was_sent(now);
        Ok(written)
    }

    /// Announces the local pieces, once, before any other message: as "have all" or "have none" where the fast
    /// extension allows it; without any message where there are none (BEP 3); else as a bitfield of five bytes and one
    /// bit for each piece. Then the state is [`State::Data`].
    ///
    /// # Errors
    /// When the handshakes are not done, when the pieces were announced before, when `have` has another number of
    /// pieces, or when `out` is too small.
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
            (true, true) => self.write(now, Message::HaveNone, out)?,
            (true, false) if have.is_full() => self.write(now, Message::HaveAll, out)?,
            (false, true) => 0,
            _ => self.write(now, Message::Bitfield(have.as_bytes()), out)?,
        };
        self.bitfield_sent = true;
        Ok(written)
    }

    /// Announces a piece that was downloaded and verified.
    ///
    /// # Errors
    /// When the torrent doesn't have that piece; when the state is not [`State::Data`]; when `out` is too small.
    pub fn have(&mut self, now: Duration, index: u32, out: &mut [u8]) -> Result<usize, ActionError> {
        self.known_piece(index)?;
        self.write(now, Message::Have(index), out)
    }

    /// Stops answering the peer's requests. Its queued requests are dropped; with the fast extension, rejects become
    /// due for them, except for pieces that are [allowed fast](Self::allow_fast). No message if the peer is choked
    /// already.
    ///
    /// # Errors
    /// When the state is not [`State::Data`]; when `out` is too small.
    pub fn choke(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if self.us.choking {
            return Ok(0);
        }
        let written = self.write(now, Message::Choke, out)?;
        self.us.choking = true;
        self.drop_queued(true);
        Ok(written)
    }

    /// Answers the peer's requests from now on. No message if the peer is unchoked already.
    ///
    /// # Errors
    /// As for [`choke`](Self::choke).
    pub fn unchoke(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if !self.us.choking {
            return Ok(0);
        }
        let written = self.write(now, Message::Unchoke, out)?;
        self.us.choking = false;
        Ok(written)
    }

    /// Announces that the local side would send requests if it were unchoked. No message if that is announced already.
    ///
    /// # Errors
    /// As for [`choke`](Self::choke).
    pub fn interested(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if self.us.interested {
            return Ok(0);
        }
        let written = self.write(now, Message::Interested, out)?;
        self.us.interested = true;
        Ok(written)
    }

    /// Announces that the local side needs no piece of the peer. No message if that is announced already. Peers drop
    /// the unanswered requests then; without the fast extension each is reported as
    /// [`Event::Rejected`](super::Event::Rejected).
    ///
    /// # Errors
    /// As for [`choke`](Self::choke).
    pub fn not_interested(&mut self, now: Duration, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if !self.us.interested {
            return Ok(0);
        }
        let written = self.write(now, Message::NotInterested, out)?;
        self.us.interested = false;
        self.lose_requests();
        Ok(written)
    }

    /// Requests a block.
    ///
    /// # Errors
    /// When the block is not in the torrent, or too long for an accepted message; when the peer chokes and the piece is
    /// not allowed fast; when "interested" is not announced; when the block is requested already (or cancelled, but not
    /// answered yet); when there is no [room](Self::room); when the state is not [`State::Data`]; when `out` is too
    /// small.
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
        let written = self.write(now, Message::Request(block), out)?;
        self.requested.push(block, Mark::Open);
        Ok(written)
    }

    /// Cancels a request. With the fast extension the peer answers it in any case, with the block or a reject.
    ///
    /// # Errors
    /// When the block is not [outstanding](Self::outstanding); when the state is not [`State::Data`]; when `out` is too
    /// small.
    pub fn cancel(&mut self, now: Duration, block: Block, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        if !self.requested.contains(block, Mark::Open) {
            return Err(ActionError::NotRequested(block));
        }
        let written = self.write(now, Message::Cancel(block), out)?;
        if self.fast() {
            self.requested.mark(block, Mark::Cancelled);
        } else {
            self.requested.remove(block, Mark::Open);
            self.expect_late(1);
        }
        Ok(written)
    }

    /// Answers a request: writes the 13 bytes before the block. The caller sends the block itself, `block.length`
    /// bytes, directly behind them, before anything else, without copying it here.
    ///
    /// # Errors
    /// When the block is not [queued](Self::queued), for instance because the peer cancelled it while it was read from
    /// the disk; when the state is not [`State::Data`]; when `out` is too small.
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

    /// Rejects one request (BEP 6).
    ///
    /// # Errors
    /// When the block is not [queued](Self::queued); without the fast extension, where only a choke or a
    /// [close](Self::close) is possible; when the state is not [`State::Data`]; when `out` is too small.
    pub fn reject(&mut self, now: Duration, block: Block, out: &mut [u8]) -> Result<usize, ActionError> {
        self.in_data()?;
        self.needs(Reserved::FAST)?;
        if !self.queued.contains(block, Mark::Open) {
            return Err(ActionError::NotRequested(block));
        }
        let written = self.write(now, Message::Reject(block), out)?;
        self.queued.remove(block, Mark::Open);
        Ok(written)
    }

    /// Suggests to the peer to request this piece, for example because it is in memory (BEP 6).
    ///
    /// # Errors
    /// When the torrent doesn't have that piece; without the fast extension; when the state is not [`State::Data`];
    /// when `out` is too small.
    pub fn suggest(&mut self, now: Duration, index: u32, out: &mut [u8]) -> Result<usize, ActionError> {
        self.known_piece(index)?;
        self.needs(Reserved::FAST)?;
        self.write(now, Message::Suggest(index), out)
    }

    /// Lets the peer request this piece even while it is choked, as long as the connection lasts (BEP 6). The caller
    /// chooses the pieces; BEP 6 derives a set from the peer's address by SHA-1. No message if the piece is allowed
    /// already.
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
        let written = self.write(now, Message::AllowedFast(index), out)?;
        self.allowed_them.insert(index);
        Ok(written)
    }

    /// Announces the UDP port of the local DHT node (BEP 5). May be sent before the bitfield.
    ///
    /// # Errors
    /// Unless both handshakes offered the DHT; when the handshakes are not done, or the connection is closed; when
    /// `out` is too small.
    pub fn port(&mut self, now: Duration, port: u16, out: &mut [u8]) -> Result<usize, ActionError> {
        self.after_handshakes()?;
        self.needs(Reserved::DHT)?;
        self.write(now, Message::Port(port), out)
    }

    /// Sends a message of the extension protocol (BEP 10): six bytes and `payload`. May be sent before the bitfield.
    ///
    /// # Errors
    /// Unless both handshakes offered the extension protocol; when the handshakes are not done, or the connection is
    /// closed; when `out` is too small.
    pub fn extended(
        &mut self,
        now: Duration,
        id: u8,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, ActionError> {
        self.after_handshakes()?;
        self.needs(Reserved::EXTENSION_PROTOCOL)?;
        self.write(now, Message::Extended { id, payload }, out)
    }

    fn write(&mut self, now: Duration, message: Message<'_>, out: &mut [u8]) -> Result<usize, ActionError> {
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

/// Why an action is not possible, or not possible now. The connection is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// The action is not possible in this state.
    #[error("not possible in the state {state:?}")]
    NotNow {
        /// The connection's state.
        state: State,
    },
    /// The buffer is too small for the message.
    #[error(transparent)]
    BufferTooSmall(#[from] BufferTooSmall),
    /// The answer to a handshake is for another torrent than the handshake.
    #[error("the peer's handshake is for the torrent {expected}, not {got}")]
    OtherTorrent {
        /// The torrent in the peer's handshake.
        expected: InfoHash,
        /// The torrent that the caller gave.
        got: InfoHash,
    },
    /// The bitfield is for a torrent with another number of pieces.
    #[error("a bitfield of {got} pieces for a torrent of {pieces}")]
    OtherPieces {
        /// Pieces of the torrent.
        pieces: u32,
        /// Pieces of the bitfield.
        got: u32,
    },
    /// The piece or block is not in the torrent.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The peer would not answer: it chokes the local side, and the piece is not allowed fast.
    #[error("choked by the peer")]
    Choked,
    /// The peer would not answer: "interested" is not announced.
    #[error("not announced as interested")]
    NotInterested,
    /// The block is requested and not answered yet.
    #[error("piece {}, {} bytes from {}, is requested already", .0.index, .0.length, .0.begin)]
    AlreadyRequested(Block),
    /// The block is not requested, or no longer.
    #[error("piece {}, {} bytes from {}, is not requested", .0.index, .0.length, .0.begin)]
    NotRequested(Block),
    /// The queue of unanswered requests is full.
    #[error("{limit} requests are unanswered already")]
    QueueFull {
        /// Requests the queue holds.
        limit: usize,
    },
    /// The set of pieces that are allowed fast is full.
    #[error("{limit} pieces are allowed fast already")]
    AllowedFull {
        /// Pieces the set holds.
        limit: usize,
    },
    /// At least one of the two handshakes did not offer the extension.
    #[error("the extension {0:?} is not offered by both handshakes")]
    NotOffered(Reserved),
}
