//! Why a connection ends.

use core::time::Duration;

use torrent_ids::InfoHash;

use crate::bitfield::BitfieldError;
use crate::block::{Block, BlockError};
use crate::error::DecodeError;
use crate::handshake::HandshakeError;

/// Why a connection is closing: what the peer did wrong, or what the caller decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// What came is no handshake.
    #[error("no handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// "If both sides don't send the same value, they sever the connection" (BEP 3).
    #[error("handshake for the torrent {got}, expected {expected}")]
    WrongInfoHash {
        /// Ours.
        expected: InfoHash,
        /// The peer's.
        got: InfoHash,
    },
    /// The peer's peer_id is ours: we connected to ourselves, which a tracker's reply makes likely.
    #[error("connected to ourselves")]
    OwnPeerId,
    /// The peer's handshake was not complete in time.
    #[error("no handshake within {after:?}")]
    NoHandshake {
        /// The time it had.
        after: Duration,
    },
    /// Not an octet came for too long.
    #[error("silent for {after:?}")]
    Silence {
        /// The time allowed.
        after: Duration,
    },
    /// A message that can't be read.
    #[error("no message: {0}")]
    Message(#[from] DecodeError),
    /// "Have none" after the first message, in whose place alone it may come (BEP 6). Messages of the extension protocol,
    /// port, keep-alives and unknown ones may come before it, as they do from libtorrent and transmission.
    #[error("\"have none\" after the first message")]
    LateHaveNone,
    /// A bitfield that is not one of this torrent.
    #[error("{0}")]
    Bitfield(#[from] BitfieldError),
    /// Have, suggest or allowed fast names a piece that the torrent doesn't have.
    #[error("message {id} names the piece {index} of a torrent with {pieces}")]
    PieceOutOfRange {
        /// Which message.
        id: u8,
        /// The piece named.
        index: u32,
        /// Pieces of the torrent.
        pieces: u32,
    },
    /// A request that lies outside the torrent, or is too long.
    #[error("requested {0}")]
    Request(#[from] BlockError),
    /// More requests than the queue holds, those that are yet to be rejected included.
    #[error("more than {limit} requests at once")]
    TooManyRequests {
        /// Requests the queue holds.
        limit: usize,
    },
    /// "If a peer receives a piece that was never requested, the peer MUST close the connection" (BEP 6); never, or
    /// answered already. Without the fast extension "it's possible for an unexpected piece to arrive" (BEP 3): as many
    /// as were lost to chokes or taken back are forgiven.
    #[error("piece {}, {} octets from {}, was not requested", .0.index, .0.length, .0.begin)]
    PieceNotRequested(Block),
    /// A block that is not as long as requested.
    #[error("piece {} from {}: {got} octets, requested {}", .expected.index, .expected.begin, .expected.length)]
    PieceLength {
        /// As requested.
        expected: Block,
        /// Octets that came.
        got: u32,
    },
    /// "If a peer receives a reject for a request that was never sent then the peer SHOULD close the connection"
    /// (BEP 6).
    #[error("reject of piece {}, {} octets from {}, which was not requested", .0.index, .0.length, .0.begin)]
    RejectNotRequested(Block),
    /// "When the fast extension is disabled, if a peer receives" one of its messages, "the peer MUST close the
    /// connection" (BEP 6, of each of them).
    #[error("message {id} of the fast extension, which is not in use")]
    FastNotInUse {
        /// Which message.
        id: u8,
    },

    /// The caller doesn't serve the torrent that the peer connected for.
    #[error("the torrent {info_hash} is not served")]
    UnknownTorrent {
        /// The peer's.
        info_hash: InfoHash,
    },
    /// The caller was asked for a piece that it never said it had.
    #[error("requested the piece {index}, which was not offered")]
    PieceNotOffered {
        /// The piece.
        index: u32,
    },
    /// The caller received more messages that carry nothing than it puts up with.
    #[error("sent too many messages of no use")]
    Flood,
    /// The caller found that the peer sent octets which are not the torrent's.
    #[error("sent wrong octets for the piece {index}")]
    WrongOctets {
        /// The piece whose hash is another.
        index: u32,
    },
    /// The peer closed its side, or the transport broke.
    #[error("the peer is gone")]
    Gone,
    /// The caller has no more use for the peer.
    #[error("closed by us")]
    Ours,
}

impl CloseReason {
    /// Whether the peer broke the protocol, or is a peer that can't be talked to: connecting again would end the same
    /// way. False for what time, transport and the caller bring about.
    pub fn is_violation(&self) -> bool {
        !matches!(
            self,
            Self::NoHandshake { .. }
                | Self::Silence { .. }
                | Self::UnknownTorrent { .. }
                | Self::Gone
                | Self::Ours
        )
    }
}
