//! How a torrent is divided into pieces, and pieces into blocks.

use crate::block::{Block, BlockError};

/// The length of a torrent and of its pieces: all that bounds checks need.
///
/// ```
/// use peer_wire_proto::{BLOCK_LENGTH, Block, Layout};
///
/// let layout = Layout::new(40_000, 32_768)?;
/// assert_eq!(layout.pieces(), 2);
/// assert_eq!(layout.piece_length(1), Some(7_232));
/// assert!(layout.blocks(0, BLOCK_LENGTH).eq([
///     Block { index: 0, begin: 0, length: 16_384 },
///     Block { index: 0, begin: 16_384, length: 16_384 },
/// ]));
/// # Ok::<(), peer_wire_proto::LayoutError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    length: u64,
    piece_length: u32,
    pieces: u32,
}

impl Layout {
    /// The layout of `length` bytes in pieces of `piece_length` bytes, the last of them perhaps shorter.
    ///
    /// A torrent of 0 bytes has no pieces, and is allowed.
    ///
    /// # Errors
    /// When `piece_length` is 0, or when there are more pieces than a 32-bit index can name.
    pub fn new(length: u64, piece_length: u32) -> Result<Self, LayoutError> {
        if piece_length == 0 {
            return Err(LayoutError::NoPieceLength);
        }
        let pieces = length.div_ceil(u64::from(piece_length));
        let pieces = u32::try_from(pieces).map_err(|_| LayoutError::TooManyPieces { pieces })?;
        Ok(Self { length, piece_length, pieces })
    }

    /// Length of the whole torrent in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Number of pieces, the last one included.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Length in bytes of the piece `index`, or `None` if there is no such piece.
    pub fn piece_length(&self, index: u32) -> Option<u32> {
        let full = u64::from(self.piece_length);
        let begin = u64::from(index) * full;
        // Never more than `full`, which is a u32.
        u32::try_from(self.length.checked_sub(begin)?.min(full)).ok().filter(|&length| length > 0)
    }

    /// Length in bytes of a bitfield: one bit for each piece.
    pub fn bitfield_length(&self) -> u32 {
        self.pieces.div_ceil(8)
    }

    /// Whether `block` lies in the torrent, and is at most `limit` bytes long.
    ///
    /// # Errors
    /// The first failed check, beginning with the index.
    pub fn check(&self, block: Block, limit: u32) -> Result<(), BlockError> {
        let Block { index, begin, length } = block;
        let Some(piece_length) = self.piece_length(index) else {
            return Err(BlockError::Index { index, pieces: self.pieces });
        };
        if length == 0 {
            return Err(BlockError::Empty);
        }
        if length > limit {
            return Err(BlockError::TooLong { limit, got: length });
        }
        match begin.checked_add(length) {
            Some(end) if end <= piece_length => Ok(()),
            _ => Err(BlockError::OutOfPiece { begin, length, piece_length }),
        }
    }

    /// The piece `index` in blocks of `length` bytes, the last of them perhaps shorter. Empty if there is no such
    /// piece, or if `length` is 0.
    pub fn blocks(&self, index: u32, length: u32) -> impl Iterator<Item = Block> + use<> {
        let mut left = if length == 0 { 0 } else { self.piece_length(index).unwrap_or(0) };
        let mut begin = 0;
        core::iter::from_fn(move || {
            let block = Block { index, begin, length: left.min(length) };
            (left > 0).then(|| {
                left -= block.length;
                begin += block.length;
                block
            })
        })
    }
}

/// Why there is no such layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The piece length is 0.
    #[error("the piece length is 0")]
    NoPieceLength,
    /// More pieces than an index of 32 bits can name.
    #[error("{pieces} pieces are more than a 32-bit index can name")]
    TooManyPieces {
        /// Pieces there would be.
        pieces: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(index: u32, begin: u32, length: u32) -> Block {
        Block { index, begin, length }
    }

    #[test]
    fn the_last_piece_may_be_shorter() {
        let layout = Layout::new(40_000, 16_384).unwrap();
        assert_eq!(layout.pieces(), 3);
        assert_eq!(
            [0, 1, 2, 3].map(|i| layout.piece_length(i)),
            [Some(16_384), Some(16_384), Some(7_232), None]
        );
        assert_eq!(layout.bitfield_length(), 1);
    }

    #[test]
    fn a_multiple_of_the_piece_length_has_no_empty_piece() {
        let layout = Layout::new(32_768, 16_384).unwrap();
        assert_eq!(layout.pieces(), 2);
        assert_eq!(layout.piece_length(1), Some(16_384));
        assert_eq!(layout.piece_length(2), None);
    }

    #[test]
    fn a_torrent_of_0_bytes_has_no_pieces() {
        let layout = Layout::new(0, 16_384).unwrap();
        assert_eq!((layout.pieces(), layout.bitfield_length()), (0, 0));
        assert_eq!(layout.piece_length(0), None);
    }

    #[test]
    fn rejects_more_pieces_than_an_index_can_name() {
        assert_eq!(Layout::new(1, 0), Err(LayoutError::NoPieceLength));
        assert_eq!(Layout::new(1 << 32, 1), Err(LayoutError::TooManyPieces { pieces: 1 << 32 }));
        assert_eq!(
            Layout::new(u64::MAX, u32::MAX).unwrap_err(),
            LayoutError::TooManyPieces { pieces: 0x1_0000_0001 }
        );
        let largest = Layout::new((1 << 32) - 1, 1).unwrap();
        assert_eq!(largest.piece_length(u32::MAX - 1), Some(1));
        assert_eq!(largest.piece_length(u32::MAX), None);
    }

    #[test]
    fn a_block_lies_within_one_piece() {
        let layout = Layout::new(40_000, 16_384).unwrap();
        let check = |index, begin, length| layout.check(block(index, begin, length), 16_384);
        assert_eq!(check(0, 0, 16_384), Ok(()));
        assert_eq!(check(2, 7_231, 1), Ok(()));
        assert_eq!(check(3, 0, 1), Err(BlockError::Index { index: 3, pieces: 3 }));
        assert_eq!(check(0, 0, 0), Err(BlockError::Empty));
        assert_eq!(check(0, 0, 16_385), Err(BlockError::TooLong { limit: 16_384, got: 16_385 }));
        let over = BlockError::OutOfPiece { begin: 7_231, length: 2, piece_length: 7_232 };
        assert_eq!(check(2, 7_231, 2), Err(over));
        let wraps = BlockError::OutOfPiece { begin: u32::MAX, length: 2, piece_length: 16_384 };
        assert_eq!(check(0, u32::MAX, 2), Err(wraps));
    }

    #[test]
    fn blocks_cover_a_piece_once() {
        let layout = Layout::new(40_000, 40_000).unwrap();
        let expected = [block(0, 0, 16_384), block(0, 16_384, 16_384), block(0, 32_768, 7_232)];
        assert!(layout.blocks(0, 16_384).eq(expected));
        assert_eq!(layout.blocks(1, 16_384).count(), 0);
        assert_eq!(layout.blocks(0, 0).count(), 0);
    }
}
