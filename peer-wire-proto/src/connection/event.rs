//! Events: the peer's messages, for the caller.

use crate::bitfield::Bitfield;
use crate::block::Block;
use crate::handshake::Handshake;

/// The result of [`Connection::handle_input`](super::Connection::handle_input).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Bytes consumed. The next call starts behind them, even if there is no event.
    pub consumed: usize,
    /// The next event; `None` if there is none until more bytes are received, or until the caller has acted (see
    /// [`Connection::handle_input`](super::Connection::handle_input)).
    pub event: Option<Event<'a>>,
}

/// A valid message of the peer, borrowed from the caller's receive buffer.
///
/// A message that changes nothing, such as a second choke, causes no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The peer's handshake. If the peer opened the connection, look the torrent up by its info_hash and
    /// [answer](super::Connection::answer), or [close](super::Connection::close).
    Handshake(Handshake),
    /// The peer stops answering requests. Without the fast extension, a [`Rejected`](Self::Rejected) follows for each
    /// unanswered request.
    Choked,
    /// The peer answers requests from now on.
    Unchoked,
    /// The peer would send requests if it were unchoked.
    Interested,
    /// The peer needs no pieces; its queued requests are dropped.
    NotInterested,
    /// The peer has the piece with this index.
    Have(u32),
    /// The pieces that the peer has. The peer starts with none if neither this nor [`HaveAll`](Self::HaveAll) is its
    /// first message. May also come later, although BEP 3 forbids it: aria2 sends it instead of many haves.
    Bitfield(Bitfield<&'a [u8]>),
    /// The peer has every piece. May also come later: aria2 sends it when its download is complete.
    HaveAll,
    /// The peer starts without pieces.
    HaveNone,
    /// The peer requests a block, which is now [queued](super::Connection::queued). Answer it with
    /// [`piece`](super::Connection::piece) or [`reject`](super::Connection::reject).
    Requested(Block),
    /// The peer cancelled a request, which is no longer queued.
    Cancelled(Block),
    /// A requested block.
    Piece {
        /// The request.
        block: Block,
        /// The content, `block.length` bytes.
        data: &'a [u8],
    },
    /// A block whose request is no longer outstanding: the request was cancelled, or dropped by a choke or by "not
    /// interested", while the block was on its way. No action is needed.
    Late(Block),
    /// A requested block will not come: the peer rejected it (BEP 6); or, without the fast extension, a choke from the
    /// peer or a "not interested" to the peer dropped it.
    Rejected(Block),
    /// The peer suggests to request this piece (BEP 6).
    Suggested(u32),
    /// The peer answers requests for this piece even while it chokes (BEP 6).
    AllowedFast(u32),
    /// The UDP port of the peer's DHT node (BEP 5).
    Port(u16),
    /// A message of the extension protocol (BEP 10), with its payload unchecked. Only if both handshakes offered it.
    Extended {
        /// 0 for the extension handshake; else the id that the local extension handshake assigned.
        id: u8,
        /// The bytes behind the id.
        payload: &'a [u8],
    },
}
