//! What can be wrong with a datagram, and whether it may be answered with an error.

use crate::{ConnectionId, TransactionId};

/// Why a datagram is not the message it was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It ends before the message's fixed part does.
    #[error("{got} bytes where {needed} are needed")]
    Truncated {
        /// Bytes of the fixed part.
        needed: usize,
        /// Bytes in the datagram.
        got: usize,
    },
    /// An action that requests (0 to 2) or replies (0 to 3) don't have.
    #[error("unknown action {0}")]
    UnknownAction(u32),
    /// A reply to something else than what was asked.
    #[error("action {got} where {expected} was expected")]
    WrongAction {
        /// The action asked for.
        expected: u32,
        /// The action in the reply.
        got: u32,
    },
    /// Action 0 without BEP 15's protocol id, and not of the 16 bytes that the 2004 document's connect has.
    #[error("connect of {got} bytes without the protocol id")]
    NotConnect {
        /// Bytes in the datagram.
        got: usize,
    },
    /// Between the two dialects' lengths of an announce.
    #[error("announce of {got} bytes: 98 or more expected")]
    AnnounceLength {
        /// Bytes in the datagram.
        got: usize,
    },
    /// An event that is neither none, completed, started nor stopped.
    #[error("unknown event {0}: 0 to 3 expected")]
    UnknownEvent(u32),
    /// A peer that can't be connected to.
    #[error("port 0: the port the peer listens on expected")]
    PortZero,
    /// A scrape that asks for nothing.
    #[error("scrape without an info_hash")]
    NoInfoHash,
    /// A scrape whose last info_hash is cut.
    #[error("{extra} bytes after the last whole info_hash")]
    PartialInfoHash {
        /// Bytes that are left over, 1 to 19.
        extra: usize,
    },
    /// An announce reply whose peers don't fill whole records in either dialect.
    #[error("announce reply of {got} bytes: not a whole number of {record}-byte peers")]
    PeerListLength {
        /// Bytes of one peer, 6 or 18.
        record: usize,
        /// Bytes in the datagram.
        got: usize,
    },
    /// A scrape reply with fewer or more entries than were asked for.
    #[error("scrape reply of {got} bytes to {asked} info_hashes")]
    ScrapeLength {
        /// How many torrents were asked for.
        asked: usize,
        /// Bytes in the datagram.
        got: usize,
    },
    /// A scrape reply of the 2004 dialect that names another torrent than the one asked for.
    #[error("scrape reply about another torrent")]
    OtherInfoHash,
    /// Eight bytes in reply to an announce: so opentracker refuses a torrent that it doesn't serve.
    #[error("the tracker refused without a reason")]
    Refused,
}

/// Why a datagram is not a request, and whether it may be answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No answer: there is no transaction to answer to, or it isn't this protocol at all.
    #[error(transparent)]
    Unsendable(DecodeError),
    /// An [`ErrorResponse`](crate::ErrorResponse) may answer it, provided that `connection_id` is valid.
    #[error("{reason}")]
    Sendable {
        /// What the sender claims to have been given.
        connection_id: ConnectionId,
        /// Which transaction the answer belongs to.
        transaction_id: TransactionId,
        /// What is wrong.
        reason: DecodeError,
    },
}

/// The message needs more room than the buffer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes needed, the buffer has {got}")]
pub struct BufferTooSmall {
    /// Bytes of the message.
    pub needed: usize,
    /// Bytes of the buffer.
    pub got: usize,
}

/// The first `N` bytes of a datagram, and the rest.
pub(crate) fn split_head<const N: usize>(datagram: &[u8]) -> Result<(&[u8; N], &[u8]), DecodeError> {
    datagram.split_first_chunk().ok_or(DecodeError::Truncated { needed: N, got: datagram.len() })
}

/// The first `needed` bytes of the caller's buffer.
pub(crate) fn room(out: &mut [u8], needed: usize) -> Result<&mut [u8], BufferTooSmall> {
    let got = out.len();
    out.get_mut(..needed).ok_or(BufferTooSmall { needed, got })
}
