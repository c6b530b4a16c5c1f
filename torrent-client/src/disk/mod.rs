//! What is asked of the disk, and what it answers: the border between the engine, which decides, and the threads that
//! read, write and hash.

mod error;

use peer_wire_proto::Block;

pub use self::error::StorageError;
use crate::pieces::{BlockDigest, PeerKey};

/// Bytes of a [`Buffer`]: one block.
pub const BUFFER: usize = 16 * 1024;

/// Room for one block.
pub type Buffer = Box<[u8; BUFFER]>;

/// Something to do. Jobs about one piece are done in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Job {
    /// Check every piece, and report each with [`Done::Checked`].
    Check,
    /// Create the files that are to be downloaded: [`Done::Created`].
    Create,
    /// Write a block: [`Done::Written`].
    Write(Block, Buffer),
    /// All blocks of the piece are written: hash it, and report [`Done::Judged`].
    Judge {
        /// The piece.
        piece: u32,
        /// Whether the digests of its blocks are wanted even if it is good.
        digests: bool,
    },
    /// Read a block for a peer: [`Done::Read`].
    Read(PeerKey, Block, Buffer),
}

/// Something done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Done {
    /// A piece was checked at the start.
    Checked {
        /// The piece.
        piece: u32,
        /// Whether it is there, whole and right.
        good: bool,
    },
    /// The files are there.
    Created,
    /// A block is written, and its buffer free.
    Written(Buffer),
    /// A piece was hashed.
    Judged(Verdict),
    /// A block was read for a peer.
    Read(PeerKey, Block, Buffer),
    /// The disk failed, for this reason.
    Failed(StorageError),
}

/// What the hash of a piece has shown.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The piece.
    pub piece: u32,
    /// Whether its hash is the torrent's.
    pub good: bool,
    /// The digests of the piece's blocks, if they were wanted or if it is bad.
    pub digests: Vec<BlockDigest>,
}
