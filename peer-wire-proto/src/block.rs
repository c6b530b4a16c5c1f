//! Blocks: the parts of a piece that requests ask for, and where they lie in a torrent.

use byteorder::{BigEndian, ByteOrder};

/// What practically every client asks for at once, in octets: 16 KiB.
///
/// "All current implementations use 2^14 (16 kiB), and close connections which request an amount greater than that"
/// (BEP 3).
pub const BLOCK_LENGTH: u32 = 16 * 1024;

/// The most that any client is known to have asked for at once, in octets: 128 KiB.
///
/// Mainline's limit of old, "2^17"; a limit above it would only make room for attacks on memory.
pub const MAX_BLOCK_LENGTH: u32 = 128 * 1024;

/// A stretch of octets within one piece: what request, cancel and reject name, and a piece message carries.
///
/// ## Wire format
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | index |
/// | 4 | 4 | begin |
/// | 8 | 4 | length |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The piece, counted from 0.
    pub index: u32,
    /// The first octet, counted from the piece's first.
    pub begin: u32,
    /// Octets.
    pub length: u32,
}

impl Block {
    /// Octets of index, begin and length on the wire.
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

/// Why a block is not one of a torrent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// There is no such piece.
    #[error("piece {index} of a torrent with {pieces}")]
    Index {
        /// The piece named.
        index: u32,
        /// Pieces of the torrent.
        pieces: u32,
    },
    /// It is no octet long.
    #[error("a block of 0 octets")]
    Empty,
    /// It is longer than is allowed at once.
    #[error("a block of {got} octets, {limit} allowed")]
    TooLong {
        /// The most octets allowed.
        limit: u32,
        /// Octets named.
        got: u32,
    },
    /// It reaches over the piece's end.
    #[error("{length} octets from {begin} in a piece of {piece_length}")]
    OutOfPiece {
        /// The first octet named.
        begin: u32,
        /// Octets named.
        length: u32,
        /// Octets of that piece; the last is often shorter than the others.
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
    fn fields_stand_in_order() {
        let wire = [0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0x40, 0];
        let block = Block { index: 1, begin: 0x2_0000, length: BLOCK_LENGTH };
        assert_eq!(Block::read(&wire), block);
        let mut out = [0; Block::LEN];
        block.write(&mut out);
        assert_eq!(out, wire);
    }
}
