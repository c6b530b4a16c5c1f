//! Jobs for the disk and their results: the interface between the engine, which decides, and the threads that read,
//! write and hash.

mod error;

use peer_wire_proto::Block;

pub use self::error::StorageError;
use crate::pieces::{BlockDigest, PeerKey};

/// Bytes of a [`Buffer`]: one block.
pub const BUFFER: usize = 16 * 1024;

/// Room for one block.
pub type Buffer = Box<[u8; BUFFER]>;

/// A job. Jobs about one piece are done in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Job {
    /// Check every piece, and report each with [`Done::Checked`].
    Check,
    /// Create the files to download. The result is [`Done::Created`].
    Create,
    /// Write a block. The result is [`Done::Written`].
    Write(Block, Buffer),
    /// Hash a piece whose blocks are all written. The result is [`Done::Judged`].
    Judge {
        /// The piece.
        piece: u32,
        /// Whether to return the digests of its blocks even if the hash is right.
        digests: bool,
    },
    /// Read a block for a peer. The result is [`Done::Read`].
    Read(PeerKey, Block, Buffer),
}

/// The result of a job.
#[derive(Debug)]
#[non_exhaustive]
pub enum Done {
    /// A piece was checked at the start.
    Checked {
        /// The piece.
        piece: u32,
        /// Whether it is present and its hash is right.
        good: bool,
    },
    /// The files exist.
    Created,
    /// A block was written; its buffer is free.
    Written(Buffer),
    /// A piece was hashed.
    Judged(Verdict),
    /// A block was read for a peer.
    Read(PeerKey, Block, Buffer),
    /// A job failed.
    Failed(StorageError),
}

/// The result of hashing a piece.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The piece.
    pub piece: u32,
    /// Whether it has the torrent's hash.
    pub good: bool,
    /// The digests of the piece's blocks, if they were requested or if the hash is wrong.
    pub digests: Vec<BlockDigest>,
}
