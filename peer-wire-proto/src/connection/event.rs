//! What a connection tells its caller.

use crate::bitfield::Bitfield;
use crate::block::Block;
use crate::handshake::Handshake;

/// What a look at the unread octets gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Octets that are done with. The next look starts behind them, even if nothing happened.
    pub consumed: usize,
    /// What happened; `None` if nothing will until more octets come, or until the caller has done what it owes (see
    /// [`Connection::handle_input`](super::Connection::handle_input)).
    pub event: Option<Event<'a>>,
}

/// Something that the peer did, checked; borrowed from the caller's receive buffer.
///
/// What changes nothing, a second choke for instance, is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The peer's handshake came. Who connected to the peer may go on; whom the peer connected to looks up the torrent
    /// by its info_hash and [answers](super::Connection::answer), or [closes](super::Connection::close).
    Handshake(Handshake),
    /// The peer will not answer our requests for now. Without the fast extension, each request it had not answered
    /// follows as [`Rejected`](Self::Rejected).
    Choked,
    /// The peer answers our requests from now on.
    Unchoked,
    /// The peer would request if we unchoked it.
    Interested,
    /// The peer wants nothing of us; what it had requested is forgotten.
    NotInterested,
    /// The peer has got the piece of this index.
    Have(u32),
    /// The pieces that the peer has. It starts with none if neither this nor [`HaveAll`](Self::HaveAll) comes first. Not
    /// only at the start, although BEP 3 says so: aria2 sends it in place of many haves.
    Bitfield(Bitfield<&'a [u8]>),
    /// The peer has every piece. Not only at the start: aria2 says so when it has completed the torrent.
    HaveAll,
    /// The peer starts with no piece.
    HaveNone,
    /// The peer requests a block, now [queued](super::Connection::queued). To be answered with
    /// [`piece`](super::Connection::piece) or [`reject`](super::Connection::reject).
    Requested(Block),
    /// The peer no longer wants a block that was queued; it is not any more.
    Cancelled(Block),
    /// A block that we requested.
    Piece {
        /// Which.
        block: Block,
        /// Its octets, `block.length` of them.
        data: &'a [u8],
    },
    /// A block that we requested came, but too late: without the fast extension, it was on its way when the peer choked us
    /// or when we took the request back. Nothing is to be done.
    Late(Block),
    /// A block that we requested will not come: the peer said so (BEP 6), or, without the fast extension, dropped it
    /// by choking us, or because we said we were not interested.
    Rejected(Block),
    /// The peer has this piece at hand and would like to be asked for it (BEP 6).
    Suggested(u32),
    /// The peer answers requests for this piece even while it chokes us (BEP 6).
    AllowedFast(u32),
    /// The UDP port of the peer's DHT node (BEP 5).
    Port(u16),
    /// A message of the extension protocol (BEP 10), its bencoding unchecked. Only if both handshakes offered it.
    Extended {
        /// 0 for the handshake of that protocol; else as our own such handshake assigned it.
        id: u8,
        /// What stands behind the id.
        payload: &'a [u8],
    },
}
