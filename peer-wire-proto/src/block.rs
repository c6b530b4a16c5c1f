//! Blocks: the parts of a piece that peers request, and their position in a torrent.

use byteorder::{BigEndian, ByteOrder};

/// The block length that practically every client requests, in bytes: 16 KiB.
///
/// "All current implementations use 2^14 (16 kiB), and close connections which request an amount greater than that"
/// (BEP 3).
pub const BLOCK_LENGTH: u32 = 16 * 1024;

/// The longest block that any client is known to have requested, in bytes: 128 KiB.
///
/// The limit of early mainline clients, "2^17". A higher limit would only help attacks on memory.
pub const MAX_BLOCK_LENGTH: u32 = 128 * 1024;

/// A range of bytes within one piece: request, cancel and reject messages name one, a piece message carries one.
///
/// ## Wire format
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | index |
/// | 4 | 4 | begin |
/// | 8 | 4 | length |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// Index of the piece, from 0.
    pub index: u32,
    /// Offset of the first byte within the piece.
    pub begin: u32,
    /// Number of bytes.
    pub length: u32,
}

impl Block {
    /// Bytes that index, begin and length take on the wire.
    pub const LEN: usize = 12;

    pub(crate) fn read(wire: &[u8]) -> Self {
        Self {
            index: BigEndian::read_u32(&wire[field::INDEX]),
            begin: BigEndian::read_u32(&wire[field::BEGIN]),
            length: BigEndian::read_u32(&wire[field::LENGTH]),
        }
    }

    pub(crate) fn write(self, wire: &mut [u8]) {
        BigEndian::write_u32(&mut wire[field::INDEX], self.index);
        BigEndian::write_u32(&mut wire[field::BEGIN], self.begin);
        BigEndian::write_u32(&mut wire[field::LENGTH], self.length);
    }
}

/// Why a block does not lie in a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// There is no such piece.
    #[error("piece {index} of a torrent with {pieces}")]
    Index {
        /// The index in the message.
        index: u32,
        /// Pieces of the torrent.
        pieces: u32,
    },
    /// The block has no bytes.
    #[error("a block of 0 bytes")]
    Empty,
    /// The block is longer than the limit.
    #[error("a block of {got} bytes, {limit} allowed")]
    TooLong {
        /// The most bytes allowed.
        limit: u32,
        /// The length in the message, in bytes.
        got: u32,
    },
    /// The block extends beyond the end of the piece.
    #[error("{length} bytes from {begin} in a piece of {piece_length}")]
    OutOfPiece {
        /// The offset in the message.
        begin: u32,
        /// The length in the message, in bytes.
        length: u32,
        /// Bytes of that piece; the last piece is often shorter than the others.
        piece_length: u32,
    },
}

mod field {
    use core::ops::Range;

    pub(super) const INDEX: Range<usize> = 0..4;
    pub(super) const BEGIN: Range<usize> = 4..8;
    pub(super) const LENGTH: Range<usize> = 8..12;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_fields_in_order() {
        let wire = [0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0x40, 0];
        let block = Block { index: 1, begin: 0x2_0000, length: BLOCK_LENGTH };
        assert_eq!(Block::read(&wire), block);
        let mut out = [0; Block::LEN];
        block.write(&mut out);
        assert_eq!(out, wire);
    }
}
