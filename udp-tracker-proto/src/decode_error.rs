//! Why a datagram is invalid, and whether it may be answered with an error.

use crate::{ConnectionId, TransactionId};

/// Why a datagram is not a valid message of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The datagram is shorter than the message's fixed part.
    #[error("{got} bytes where {needed} are needed")]
    Truncated {
        /// Bytes of the fixed part.
        needed: usize,
        /// Bytes in the datagram.
        got: usize,
    },
    /// An action that is not one of requests (0 to 2) or of replies (0 to 3).
    #[error("unknown action {0}")]
    UnknownAction(u32),
    /// The action of another message than the expected one.
    #[error("action {got} where {expected} was expected")]
    WrongAction {
        /// The expected action.
        expected: u32,
        /// The action in the datagram.
        got: u32,
    },
    /// Action 0 without BEP 15's protocol id, and with another length than the 16 bytes of a connect of the 2004
    /// dialect.
    #[error("connect of {got} bytes without the protocol id")]
    NotConnect {
        /// Bytes in the datagram.
        got: usize,
    },
    /// A length between those of the two dialects: 95 to 97 bytes.
    #[error("announce of {got} bytes: 98 or more expected")]
    AnnounceLength {
        /// Bytes in the datagram.
        got: usize,
    },
    /// An event other than none, completed, started and stopped.
    #[error("unknown event {0}: 0 to 3 expected")]
    UnknownEvent(u32),
    /// A port of 0, to which no peer can connect.
    #[error("port 0: the port the peer listens on expected")]
    PortZero,
    /// A scrape without an info_hash.
    #[error("scrape without an info_hash")]
    NoInfoHash,
    /// A scrape whose last info_hash is truncated.
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
    /// A scrape reply with fewer or more entries than the request has info_hashes.
    #[error("scrape reply of {got} bytes to {asked} info_hashes")]
    ScrapeLength {
        /// Number of info_hashes in the request.
        asked: usize,
        /// Bytes in the datagram.
        got: usize,
    },
    /// A scrape reply of the 2004 dialect with another info_hash than the request.
    #[error("scrape reply about another torrent")]
    OtherInfoHash,
    /// A reply of eight bytes to an announce, with which opentracker refuses a torrent that it doesn't serve.
    #[error("the tracker refused without a reason")]
    Refused,
}

/// Why a datagram is not a request, and whether it may be answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It must not be answered: it has no transaction_id, or is not of this protocol.
    #[error(transparent)]
    Unsendable(DecodeError),
    /// An [`ErrorResponse`](crate::ErrorResponse) may answer it, provided that `connection_id` is valid.
    #[error("{reason}")]
    Sendable {
        /// The connection_id in the request, not verified.
        connection_id: ConnectionId,
        /// The transaction_id of the request, and of the answer.
        transaction_id: TransactionId,
        /// Why the request is invalid.
        reason: DecodeError,
    },
}

/// The buffer is too small for the message.
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
