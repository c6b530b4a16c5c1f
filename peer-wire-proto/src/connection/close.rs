//! Why a connection ends.

use core::time::Duration;

use torrent_ids::InfoHash;

use crate::bitfield::BitfieldError;
use crate::block::{Block, BlockError};
use crate::error::DecodeError;
use crate::handshake::HandshakeError;

/// Why a connection is closed: a violation by the peer, or a decision of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer did not send a valid handshake.
    #[error("invalid handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// "If both sides don't send the same value, they sever the connection" (BEP 3).
    #[error("handshake for the torrent {got}, expected {expected}")]
    WrongInfoHash {
        /// The local side's.
        expected: InfoHash,
        /// The peer's.
        got: InfoHash,
    },
    /// The peer's peer_id is the local one: the client connected to itself, which happens because trackers return the
    /// announcing peer's own address too.
    #[error("connected to itself")]
    OwnPeerId,
    /// The peer's handshake was not complete in time.
    #[error("no complete handshake within {after:?}")]
    NoHandshake {
        /// The time allowed.
        after: Duration,
    },
    /// Nothing was received for too long.
    #[error("nothing received for {after:?}")]
    Silence {
        /// The time allowed.
        after: Duration,
    },
    /// A message could not be decoded.
    #[error("invalid message: {0}")]
    Message(#[from] DecodeError),
    /// "Have none" was not the first message (BEP 6). Messages of the extension protocol, port, keep-alives and unknown
    /// messages may precede it: libtorrent and transmission send them first.
    #[error("\"have none\" was not the first message")]
    LateHaveNone,
    /// A bitfield that does not fit the torrent.
    #[error("invalid bitfield: {0}")]
    Bitfield(#[from] BitfieldError),
    /// A have, suggest or allowed fast message names a piece that the torrent doesn't have.
    #[error("message {id} names the piece {index} of a torrent with {pieces}")]
    PieceOutOfRange {
        /// Which message.
        id: u8,
        /// The index in the message.
        index: u32,
        /// Pieces of the torrent.
        pieces: u32,
    },
    /// A request for a block outside the torrent, or for one that is too long.
    #[error("invalid request: {0}")]
    Request(#[from] BlockError),
    /// More requests than the queue holds, including those whose reject is not sent yet.
    #[error("more than {limit} requests at once")]
    TooManyRequests {
        /// Requests the queue holds.
        limit: usize,
    },
    /// "If a peer receives a piece that was never requested, the peer MUST close the connection" (BEP 6). A second
    /// answer to one request counts as such a piece. Without the fast extension "it's possible for an unexpected piece
    /// to arrive" (BEP 3): as many are accepted as requests were dropped by chokes or cancelled.
    #[error("piece {}, {} bytes from {}, was not requested", .0.index, .0.length, .0.begin)]
    PieceNotRequested(Block),
    /// A block with another length than requested.
    #[error("piece {} from {}: {got} bytes, requested {}", .expected.index, .expected.begin, .expected.length)]
    PieceLength {
        /// The request.
        expected: Block,
        /// Bytes received.
        got: u32,
    },
    /// "If a peer receives a reject for a request that was never sent then the peer SHOULD close the connection"
    /// (BEP 6).
    #[error("reject of piece {}, {} bytes from {}, which was not requested", .0.index, .0.length, .0.begin)]
    RejectNotRequested(Block),
    /// "When the fast extension is disabled, if a peer receives" one of its messages, "the peer MUST close the
    /// connection" (BEP 6, for each of them).
    #[error("message {id} of the fast extension, which is not in use")]
    FastNotInUse {
        /// Which message.
        id: u8,
    },

    /// The caller has no torrent with the info_hash of the peer's handshake.
    #[error("the torrent {info_hash} is not served")]
    UnknownTorrent {
        /// The peer's.
        info_hash: InfoHash,
    },
    /// The peer requested a piece that the caller never announced.
    #[error("requested the piece {index}, which was not announced")]
    PieceNotOffered {
        /// The piece.
        index: u32,
    },
    /// The peer sent more useless messages than the caller tolerates.
    #[error("sent too many useless messages")]
    Flood,
    /// The caller found that the peer sent data which doesn't match the torrent.
    #[error("sent wrong data for the piece {index}")]
    WrongData {
        /// The piece whose hash doesn't match.
        index: u32,
    },
    /// The peer closed the connection, or the transport failed.
    #[error("closed by the peer")]
    Gone,
    /// The caller doesn't need the connection any more.
    #[error("closed locally")]
    Local,
}

impl CloseReason {
    /// Whether the peer violated the protocol or is unusable, so that connecting again would end the same way. False
    /// for timeouts, transport errors and decisions of the caller.
    pub fn is_violation(&self) -> bool {
        !matches!(
            self,
            Self::NoHandshake { .. }
                | Self::Silence { .. }
                | Self::UnknownTorrent { .. }
                | Self::Gone
                | Self::Local
        )
    }
}
